use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::ffi::CString;

/// A message of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it: `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// What is said.
    #[serde(default)]
    pub content: String,
    /// Further fields of the HTTP API, such as `images` and `tool_calls`.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Message {
    /// A message of any role.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: content.into(), more: Map::new() }
    }

    /// Says how the model is to answer.
    pub fn system(content: impl Into<String>) -> Message {
        Message::new("system", content)
    }

    /// What the user says.
    pub fn user(content: impl Into<String>) -> Message {
        Message::new("user", content)
    }

    /// What the model said before.
    pub fn assistant(content: impl Into<String>) -> Message {
        Message::new("assistant", content)
    }
}

/// Returns a request as JSON. What is no object becomes its field of the given name; the fields of
/// `options` are added.
pub(crate) fn request(
    what: impl Serialize,
    field: &str,
    options: impl Serialize,
) -> Result<CString> {
    let mut fields = match value(what)? {
        Value::Object(fields) => fields,
        value => Map::from_iter([(field.to_string(), value)]),
    };
    match value(options)? {
        Value::Null => {}
        Value::Object(more) => fields.extend(more),
        _ => return Err(Error::invalid("the fields of a request must be an object")),
    }
    c_string(Value::Object(fields).to_string())
}

/// Returns options as JSON.
pub(crate) fn json(options: impl Serialize) -> Result<CString> {
    match value(options)? {
        Value::Null => Ok(c"{}".into()),
        options => c_string(options.to_string()),
    }
}

pub(crate) fn value(of: impl Serialize) -> Result<Value> {
    serde_json::to_value(of).map_err(|e| Error::invalid(format!("this makes no JSON: {e}")))
}

/// Ends a text with a zero byte. JSON has none of its own, because they are escaped there.
pub(crate) fn c_string(text: impl Into<Vec<u8>>) -> Result<CString> {
    CString::new(text).map_err(|e| Error::invalid(format!("a name has a zero byte: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn made(what: impl Serialize, options: impl Serialize) -> String {
        request(what, "prompt", options).unwrap().into_string().unwrap()
    }

    #[test]
    fn a_request_stays_as_it_is_and_in_its_order() {
        assert_eq!(
            made(json!({"prompt": "a", "b": 1, "a": 2}), ()),
            r#"{"prompt":"a","b":1,"a":2}"#
        );
    }

    #[test]
    fn what_is_no_object_becomes_a_field_and_options_are_added() {
        assert_eq!(made("a\0", json!({"raw": true})), r#"{"prompt":"a\u0000","raw":true}"#);
    }

    #[test]
    fn what_makes_no_json_object_is_an_error() {
        let map = std::collections::HashMap::from([((1, 2), 3)]);
        assert_eq!(request(map, "prompt", ()).unwrap_err().status(), "invalid");
        assert_eq!(request("a", "prompt", 7).unwrap_err().status(), "invalid");
        assert_eq!(c_string("a\0b").unwrap_err().status(), "invalid");
    }

    #[test]
    fn messages_have_the_fields_of_the_api() {
        let mut message = Message::user("hi");
        message.more.insert("images".into(), json!(["aGk="]));
        let json = r#"{"role":"user","content":"hi","images":["aGk="]}"#;
        assert_eq!(serde_json::to_string(&message).unwrap(), json);
        assert_eq!(serde_json::from_str::<Message>(json).unwrap(), message);
    }
}
