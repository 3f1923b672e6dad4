//! What happens when the library is not there, or is another; and the version of the crate.

use mullama::{Error, ErrorKind, Runtime, RuntimeOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

fn open(library: &Path) -> Result<Runtime, Error> {
    let library = Some(library.to_path_buf());
    Runtime::open(&RuntimeOptions { library, echo: true, ..RuntimeOptions::default() })
}

/// An empty folder of this test process.
fn folder(name: &str) -> PathBuf {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Makes a library of C source in a folder.
fn compile(folder: &Path, source: &str) {
    let file = folder.join("stub.c");
    std::fs::write(&file, source).unwrap();
    let library = folder.join("libmullama.so");
    let cc = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(library).arg(file).status();
    assert!(cc.unwrap().success());
}

#[test]
fn a_missing_library_says_where_it_was_looked_for() {
    let folder = folder("missing");
    let error = open(&folder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LibraryMissing);
    assert!(error.message().contains(folder.join("libmullama.so").to_str().unwrap()), "{error}");
    assert!(error.message().contains("MULLAMA_LIBRARY"), "{error}");
}

#[test]
fn another_version_of_the_abi_is_refused() {
    let folder = folder("version");
    compile(&folder, "unsigned mullama_abi_version(void) { return 99; }");
    let error = open(&folder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LibraryMissing);
    assert!(error.message().contains("version 99 of the ABI, and 1 is needed"), "{error}");
}

#[test]
fn another_library_is_refused() {
    let folder = folder("other");
    compile(&folder, "unsigned mullama_abi_version(void) { return 1; }");
    let error = open(&folder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LibraryMissing);
    assert!(error.message().contains("mullama_version"), "{error}");
}

#[test]
fn a_library_that_was_missing_may_come_later() {
    let Some(real) = std::env::var_os("MULLAMA_LIBRARY") else {
        panic!("set MULLAMA_LIBRARY to the folder of libmullama");
    };
    let folder = folder("later");
    open(&folder).unwrap_err();
    let link = folder.join("libmullama.so");
    std::os::unix::fs::symlink(Path::new(&real).join("libmullama.so"), &link).unwrap();
    open(&folder).unwrap();
    std::fs::remove_file(&link).unwrap();
    open(&folder).unwrap(); // it stays loaded
}

#[test]
fn the_crate_has_the_version_of_the_repository() {
    // Asked when the test runs: checkouts that share a target folder share the program, too.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
    let file = Path::new(&package).join("../../../VERSION");
    assert_eq!(std::fs::read_to_string(file).unwrap().trim(), env!("CARGO_PKG_VERSION"));
}
