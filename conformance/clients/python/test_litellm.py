"""litellm's two providers for Ollama and its OpenAI provider against the daemon."""

import litellm
import pytest

CAPITAL = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]


@pytest.mark.parametrize("provider", ["ollama", "ollama_chat", "openai"])
@pytest.mark.parametrize("stream", [False, True])
def test_completion(url, model, provider, stream):
    base = url + "/v1" if provider == "openai" else url
    answer = litellm.completion(
        model=f"{provider}/{model}", messages=CAPITAL, api_base=base, api_key="none", temperature=0, max_tokens=32,
        stream=stream,
    )
    if stream:
        text = "".join(part.choices[0].delta.content or "" for part in answer)
    else:
        text = answer.choices[0].message.content
        assert answer.usage.completion_tokens > 0
    assert "Paris" in text
