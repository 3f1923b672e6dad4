use crate::error::{call, call_for_json};
use crate::{index, model, request, Error, ErrorKind, Index, Model, Result};
use mullama_sys as sys;
use serde::Serialize;
use serde_json::Value;
use std::any::Any;
use std::ffi::c_void;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex};

/// How a runtime is opened. The default computes in this process.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RuntimeOptions {
    /// libmullama or its folder; default: the environment variable `MULLAMA_LIBRARY`, beside the
    /// program, or where the system has libraries.
    #[serde(skip)]
    pub library: Option<PathBuf>,
    /// The folder of the native engine; default: beside libmullama.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library_dir: Option<PathBuf>,
    /// The folder of the model store, in Ollama's layout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models_dir: Option<PathBuf>,
    /// The address of a daemon that does the work, such as `http://127.0.0.1:11434`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The API key of that daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// No engine, and one model, `echo`, that repeats what it is sent; for tests.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub echo: bool,
}

/// The engine with the models that it has loaded. A clone is the same runtime, which is closed when
/// the last one is dropped. Models stay usable then.
#[derive(Clone, Debug)]
pub struct Runtime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    library: &'static sys::Library,
    raw: *mut sys::mullama_runtime,
}

// SAFETY: a handle may be used from any thread, and from several at once.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: any handle may be closed, a closed one too.
        unsafe { (self.library.mullama_runtime_close)(self.raw) }
    }
}

impl Runtime {
    /// Opens a runtime. The first one loads libmullama.
    pub fn open(options: &RuntimeOptions) -> Result<Runtime> {
        let library = sys::Library::find(options.library.as_deref())
            .map_err(|e| Error::new(ErrorKind::LibraryMissing, e))?;
        let options = request::json(options)?;
        let mut raw = null_mut();
        // SAFETY: the options are a text, and raw is a place for the handle.
        call(library, |e| unsafe {
            (library.mullama_runtime_open)(options.as_ptr(), &mut raw, e)
        })?;
        Ok(Runtime { inner: Arc::new(Inner { library, raw }) })
    }

    /// What the runtime runs on: version, engine, devices.
    pub fn info(&self) -> Result<Value> {
        let Inner { library, raw } = *self.inner;
        // SAFETY: the closure gets places for the results.
        call_for_json(library, |json, e| unsafe { (library.mullama_runtime_info)(raw, json, e) })
    }

    /// The models of the store, or of the daemon, as `GET /api/tags` tells them.
    pub fn models(&self) -> Result<Value> {
        let Inner { library, raw } = *self.inner;
        // SAFETY: the closure gets places for the results.
        call_for_json(library, |json, e| unsafe { (library.mullama_runtime_models)(raw, json, e) })
    }

    /// Loads a model: a GGUF file by its path, which begins with `/` or `.`, or a model of the
    /// store or the daemon by its name. `options` are those of a load, such as `ctx_size` and
    /// `slots`, or `()`. It waits until the model is loaded.
    pub fn load(&self, name: &str, options: impl Serialize) -> Result<Model> {
        self.load_model(name, options, None, null_mut())
    }

    /// Loads a model and tells the loaded part, from 0 to 1, to a function, on some thread. If that
    /// returns false, the load ends with [`ErrorKind::Cancelled`].
    pub fn load_with_progress<F>(
        &self,
        name: &str,
        options: impl Serialize,
        progress: F,
    ) -> Result<Model>
    where
        F: FnMut(f32) -> bool + Send,
    {
        let progress = Progress { function: Mutex::new(progress), panic: Mutex::new(None) };
        let user = (&raw const progress).cast_mut().cast();
        let model = self.load_model(name, options, Some(tell_progress::<F>), user);
        if let Some(panic) = progress.panic.into_inner().unwrap_or_else(|e| e.into_inner()) {
            resume_unwind(panic);
        }
        model
    }

    fn load_model(
        &self,
        name: &str,
        options: impl Serialize,
        progress: sys::mullama_progress,
        user: *mut c_void,
    ) -> Result<Model> {
        let Inner { library, raw } = *self.inner;
        let (name, options) = (request::c_string(name)?, request::json(options)?);
        let mut model = null_mut();
        // SAFETY: the texts live during the call, as what user points to does; after it, progress
        // is not called.
        call(library, |e| unsafe {
            let (name, options) = (name.as_ptr(), options.as_ptr());
            (library.mullama_model_load)(raw, name, options, progress, user, &mut model, e)
        })?;
        Ok(model::new(library, model))
    }

    /// Opens an index of documents, or makes an empty one if there is no file. The file is on this
    /// machine, also where a daemon computes. `model` embeds what is added and searched as text;
    /// without one there are vectors alone. `options` are `dimensions`, which a new index without a
    /// model needs, `vectors` (`f32`, `f16` or `int8`), `in_memory`, `threads` and `device`, the
    /// name of one that searches, or `()`.
    pub fn open_index(
        &self,
        path: &str,
        model: Option<&Model>,
        options: impl Serialize,
    ) -> Result<Index> {
        let Inner { library, raw } = *self.inner;
        let (path, options) = (request::c_string(path)?, request::json(options)?);
        let handle = model.map_or(null_mut(), Model::raw);
        let mut index = null_mut();
        // SAFETY: the texts live during the call, and index is a place for the handle.
        call(library, |e| unsafe {
            let (path, options) = (path.as_ptr(), options.as_ptr());
            (library.mullama_index_open)(raw, path, handle, options, &mut index, e)
        })?;
        Ok(index::new(library, index, model))
    }

    /// Closes the runtime now, and with it all clones. Doing it again does nothing.
    pub fn close(&self) {
        // SAFETY: any handle may be closed, a closed one too.
        unsafe { (self.inner.library.mullama_runtime_close)(self.inner.raw) }
    }
}

/// A function that is told the progress of a load, and what it panicked with.
struct Progress<F> {
    function: Mutex<F>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// The C side of [`Progress`]. A panic gives the load up.
unsafe extern "C" fn tell_progress<F>(fraction: f32, user: *mut c_void) -> bool
where
    F: FnMut(f32) -> bool + Send,
{
    // SAFETY: user is what load_with_progress gave, which waits for the end of the load.
    let progress = unsafe { &*user.cast::<Progress<F>>() };
    let told = catch_unwind(AssertUnwindSafe(|| match progress.function.lock() {
        Ok(mut function) => function(fraction),
        Err(_) => false, // it has panicked before
    }));
    told.unwrap_or_else(|panic| {
        *progress.panic.lock().unwrap_or_else(|e| e.into_inner()) = Some(panic);
        false
    })
}
