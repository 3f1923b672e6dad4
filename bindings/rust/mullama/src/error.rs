use mullama_sys as sys;
use std::ffi::{c_char, CStr};
use std::fmt;

/// The result of what can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was wrong: a kind to act on, and a sentence that says where it happened and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $status:ident, $name:literal;)*) => {
        /// The kinds of error. Their names are those of the C ABI.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)*
            /// A status that this version of the crate does not know.
            Unknown,
        }

        impl ErrorKind {
            /// The name of the status, such as `context_full`.
            pub fn name(self) -> &'static str {
                match self {
                    $(ErrorKind::$kind => $name,)*
                    ErrorKind::Unknown => "unknown",
                }
            }

            fn of(status: sys::mullama_status) -> ErrorKind {
                match status {
                    $(sys::$status => ErrorKind::$kind,)*
                    _ => ErrorKind::Unknown,
                }
            }
        }
    };
}

kinds! {
    /// An argument, option or request is not valid.
    Invalid = MULLAMA_ERR_INVALID, "invalid";
    /// No such file, or model of the store.
    NotFound = MULLAMA_ERR_NOT_FOUND, "not_found";
    /// Not a complete GGUF model.
    NotGguf = MULLAMA_ERR_NOT_GGUF, "not_gguf";
    /// This engine, or this model, cannot do that.
    Unsupported = MULLAMA_ERR_UNSUPPORTED, "unsupported";
    /// The prompt does not fit in the context.
    ContextFull = MULLAMA_ERR_CONTEXT_FULL, "context_full";
    /// A chat template does not parse or render.
    Template = MULLAMA_ERR_TEMPLATE, "template";
    /// A grammar or JSON schema cannot be used.
    Grammar = MULLAMA_ERR_GRAMMAR, "grammar";
    /// The model does not fit in memory.
    OutOfMemory = MULLAMA_ERR_OUT_OF_MEMORY, "out_of_memory";
    /// Too many requests wait already.
    Busy = MULLAMA_ERR_BUSY, "busy";
    /// The model store is damaged or not readable.
    Store = MULLAMA_ERR_STORE, "store";
    /// A library is missing or of another version: libmullama, or its native engine.
    LibraryMissing = MULLAMA_ERR_LIBRARY_MISSING, "library_missing";
    /// The runtime, model or stream is closed.
    Closed = MULLAMA_ERR_CLOSED, "closed";
    /// The call was cancelled.
    Cancelled = MULLAMA_ERR_CANCELLED, "cancelled";
    /// A fault that is not the caller's.
    Internal = MULLAMA_ERR_INTERNAL, "internal";
    /// The process was forked after the library was loaded.
    Forked = MULLAMA_ERR_FORKED, "forked";
    /// A buffer is too small.
    TooSmall = MULLAMA_ERR_TOO_SMALL, "too_small";
    /// Another machine that the model is on does not answer, or went away.
    Unreachable = MULLAMA_ERR_UNREACHABLE, "unreachable";
}

impl Error {
    /// What to act on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The name of the kind, such as `context_full`.
    pub fn status(&self) -> &'static str {
        self.kind.name()
    }

    /// One sentence for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn new(kind: ErrorKind, message: impl fmt::Display) -> Error {
        Error { kind, message: message.to_string() }
    }

    pub(crate) fn invalid(message: impl fmt::Display) -> Error {
        Error::new(ErrorKind::Invalid, message)
    }

    /// Copies an error of the library, which stays as it is.
    ///
    /// # Safety
    ///
    /// `raw` is NULL or an error that is not freed meanwhile.
    pub(crate) unsafe fn copy(
        library: &sys::Library,
        status: sys::mullama_status,
        raw: *const sys::mullama_error,
    ) -> Error {
        // SAFETY: the message lives as long as the error, by the contract of this function.
        let message = unsafe { text((library.mullama_error_message)(raw)) };
        Error::new(ErrorKind::of(status), message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status(), self.message)
    }
}

impl std::error::Error for Error {}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Calls a function of the library with a place for its error. `Ok` is whether there is more:
/// `MULLAMA_OK` and not `MULLAMA_END`.
pub(crate) fn call(
    library: &sys::Library,
    function: impl FnOnce(*mut *mut sys::mullama_error) -> sys::mullama_status,
) -> Result<bool> {
    let mut raw = std::ptr::null_mut();
    match function(&mut raw) {
        sys::MULLAMA_OK => Ok(true),
        sys::MULLAMA_END => Ok(false),
        status => {
            // SAFETY: the failed function has set raw, or left it NULL. It is freed once, here.
            unsafe {
                let error = Error::copy(library, status, raw);
                (library.mullama_error_free)(raw);
                Err(error)
            }
        }
    }
}

/// Calls a function of the library that gives a JSON object.
pub(crate) fn call_for_json(
    library: &sys::Library,
    function: impl FnOnce(*mut *mut c_char, *mut *mut sys::mullama_error) -> sys::mullama_status,
) -> Result<serde_json::Value> {
    let mut raw = std::ptr::null_mut();
    call(library, |error| function(&mut raw, error))?;
    // SAFETY: the function succeeded, so raw is a text that we have to free.
    let json = unsafe {
        let json = text(raw);
        (library.mullama_string_free)(raw);
        json
    };
    parse(json.as_bytes())
}

/// Parses JSON of the library, which is valid unless the library has a fault.
pub(crate) fn parse(json: &[u8]) -> Result<serde_json::Value> {
    serde_json::from_slice(json)
        .map_err(|e| Error::new(ErrorKind::Internal, format!("the library's JSON is broken: {e}")))
}

/// Copies a text that ends with a zero byte.
///
/// # Safety
///
/// `raw` is NULL or such a text.
unsafe fn text(raw: *const c_char) -> String {
    if raw.is_null() {
        return String::new();
    }
    // SAFETY: it is not NULL, and a text by the contract of this function.
    unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_names_of_the_library() {
        let library = sys::Library::find(None).unwrap();
        for status in sys::MULLAMA_ERR_INVALID..=sys::MULLAMA_ERR_UNREACHABLE {
            // SAFETY: the name is a text that is never freed.
            let name = unsafe { text((library.mullama_status_name)(status)) };
            assert_eq!(ErrorKind::of(status).name(), name);
        }
        assert_eq!(ErrorKind::of(99), ErrorKind::Unknown);
    }
}
