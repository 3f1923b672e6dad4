use crate::{Functions, MULLAMA_ABI_VERSION};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::error::Error;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The environment variable that names the library or its folder.
const VARIABLE: &str = "MULLAMA_LIBRARY";

/// A loaded libmullama. It is never unloaded, because its threads cannot be ended.
#[derive(Debug)]
pub struct Library {
    functions: Functions,
}

/// The functions are the library's.
impl Deref for Library {
    type Target = Functions;

    fn deref(&self) -> &Functions {
        &self.functions
    }
}

/// Why the library could not be loaded: where it was looked for, and what was wrong there.
#[derive(Clone, Debug)]
pub struct LoadError {
    tried: Vec<(PathBuf, String)>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "libmullama could not be loaded; set {VARIABLE} to the file or its folder")?;
        for (place, fault) in &self.tried {
            write!(f, "; tried {}: {fault}", place.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// The libraries that have been loaded, by the path that was given for each.
static LOADED: Mutex<Vec<(Option<PathBuf>, &'static Library)>> = Mutex::new(Vec::new());

impl Library {
    /// Loads the library at a path, which is the file or its folder. Without one it is that of the
    /// environment variable `MULLAMA_LIBRARY`; if that is not set, the library is looked for beside
    /// the program and then where the system looks for libraries. Once found it stays the same.
    pub fn find(path: Option<&Path>) -> Result<&'static Library, LoadError> {
        let mut loaded = LOADED.lock().unwrap_or_else(|poison| poison.into_inner());
        if let Some((_, library)) = loaded.iter().find(|(p, _)| p.as_deref() == path) {
            return Ok(library);
        }
        let mut tried = Vec::new();
        for place in places(path) {
            match Library::load(&place) {
                Ok(functions) => {
                    let library = Box::leak(Box::new(Library { functions }));
                    loaded.push((path.map(Path::to_path_buf), library));
                    return Ok(library);
                }
                Err(fault) => tried.push((place, fault)),
            }
        }
        Err(LoadError { tried })
    }

    fn load(file: &Path) -> Result<Functions, String> {
        // SAFETY: what the library does when it is loaded is safe at any time: it is a Go library,
        // which starts its threads. Those are why it is not unloaded, even if it is not used.
        let library = unsafe { libloading::Library::new(file) }.map_err(fault)?;
        let library = ManuallyDrop::new(library);
        // SAFETY: this function has had the same type in all versions of the ABI.
        let version = unsafe {
            let version = library
                .get::<unsafe extern "C" fn() -> u32>(c"mullama_abi_version")
                .map_err(fault)?;
            version()
        };
        if version != MULLAMA_ABI_VERSION {
            return Err(format!(
                "it has version {version} of the ABI, and {MULLAMA_ABI_VERSION} is needed; install \
                 the library and the crate of the same release"
            ));
        }
        // SAFETY: the version says that the functions are those of the header.
        unsafe { Functions::load(&library) }.map_err(fault)
    }
}

/// The files to try, in order.
fn places(path: Option<&Path>) -> Vec<PathBuf> {
    let name = format!("{DLL_PREFIX}mullama{DLL_SUFFIX}");
    let named = path.map(Path::to_path_buf).or_else(|| {
        let value = std::env::var_os(VARIABLE)?;
        (!value.is_empty()).then(|| PathBuf::from(value))
    });
    if let Some(path) = named {
        return vec![if path.is_dir() { path.join(name) } else { path }];
    }
    let program = std::env::current_exe().ok();
    let beside = program.and_then(|file| Some(file.parent()?.join(&name)));
    beside.into_iter().chain([PathBuf::from(name)]).collect()
}

/// An error with its causes, of which the last says what the system said.
fn fault(error: libloading::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
