"""Renders chat templates with Jinja2 the way Hugging Face's tokenizers do.

Reads one JSON object from standard input:
    {"templates": {name: text},
     "cases": [{"template": name, "variables": {}, "adaptations": [name]}]}
and writes one with the results in the order of the cases:
    {"results": [{"text": text} or {"error": message}]}
An adaptation changes the variables the way llama.cpp is known to change them.
"""

import datetime
import json
import sys

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox


class GenerationBlock(jinja2.ext.Extension):
    """{% generation %}...{% endgeneration %} marks training targets; its body renders as it is."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def strftime_now(form):
    return datetime.datetime.now().strftime(form)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[GenerationBlock, jinja2.ext.loopcontrols],
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


def object_arguments(variables):
    """Turns the arguments of tool calls from JSON text, OpenAI's shape, into objects."""
    for message in variables["messages"]:
        for call in message.get("tool_calls") or []:
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])


def merge_system(variables):
    """Puts the system message in front of the next one."""
    messages = variables["messages"]
    if len(messages) > 1 and messages[0]["role"] == "system":
        system = messages.pop(0)
        messages[0]["content"] = system["content"] + "\n" + messages[0]["content"]


def trim_texts(variables):
    """Takes white space off the ends of every message."""
    for message in variables["messages"]:
        message["content"] = message["content"].strip(" \t\n\v\f\r")


def no_null_tools(variables):
    """Leaves tools undefined instead of null."""
    if variables["tools"] is None:
        del variables["tools"]


def no_false_generation_prompt(variables):
    """Leaves add_generation_prompt undefined instead of false."""
    if not variables["add_generation_prompt"]:
        del variables["add_generation_prompt"]


ADAPTATIONS = {
    adaptation.__name__: adaptation
    for adaptation in (
        object_arguments,
        merge_system,
        trim_texts,
        no_null_tools,
        no_false_generation_prompt,
    )
}


def render(template, case):
    variables = case["variables"]
    for name in case["adaptations"]:
        ADAPTATIONS[name](variables)
    try:
        return {"text": template.render(**variables)}
    except Exception as problem:  # whatever a template does wrong is a result of the case
        return {"error": f"{type(problem).__name__}: {problem}"}


def main():
    job = json.load(sys.stdin)
    env = environment()
    templates = {name: env.from_string(text) for name, text in job["templates"].items()}
    results = [render(templates[case["template"]], case) for case in job["cases"]]
    json.dump({"results": results}, sys.stdout)


if __name__ == "__main__":
    main()
