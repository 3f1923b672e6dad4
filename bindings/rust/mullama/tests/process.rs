//! Forks, and the end of a process. Each of these has a process of its own: the test runs its own
//! program again with the name of what is to be done in an environment variable.

mod common;

use common::{echo, echo_runtime};
use mullama::{ErrorKind, Runtime, RuntimeOptions};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

const VARIABLE: &str = "MULLAMA_TEST_PROCESS";

/// Runs one of the processes below.
fn run(name: &str) -> ExitStatus {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args(["--exact", "a_process_of_a_test", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, name)
        .output()
        .unwrap();
    print!("{}", String::from_utf8_lossy(&output.stderr));
    output.status
}

#[test]
fn a_process_of_a_test() {
    match std::env::var(VARIABLE).as_deref() {
        Err(_) => {} // this is the parent
        Ok("open handles") => exit_with_open_handles(),
        Ok("fork") => fork_after_loading(),
        Ok("fork first") => load_after_forking(),
        Ok(name) => panic!("no process is named {name}"),
    }
}

#[test]
fn a_process_may_end_with_open_handles() {
    let status = run("open handles");
    assert_eq!((status.code(), status.signal()), (Some(7), None));
}

#[test]
fn a_child_of_fork_gets_an_error_and_hangs_never() {
    assert!(run("fork").success());
}

#[test]
fn a_library_may_be_loaded_in_the_child() {
    assert!(run("fork first").success());
}

fn exit_with_open_handles() {
    let model = echo();
    let _read = model.generate("abc").unwrap();
    let _delivered: Vec<_> =
        (0..20).map(|_| model.generate("a".repeat(4000)).unwrap().into_async().unwrap()).collect();
    std::process::exit(7);
}

/// Forks, and has the child call a function and end. Fails if that panics or hangs.
fn in_child(function: impl FnOnce()) {
    // SAFETY: fork and alarm have no conditions. The C library lets a child allocate memory, which
    // is all that function needs besides the library under test.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: as above. A child that hangs is ended by the signal.
        unsafe { libc::alarm(60) };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(function));
        // SAFETY: _exit ends the process without running what belongs to the parent.
        unsafe { libc::_exit(i32::from(result.is_err())) }
    }
    let mut status = 1;
    // SAFETY: status is a place for the result.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
}

fn fork_after_loading() {
    let runtime = echo_runtime();
    let model = runtime.load("echo", ()).unwrap();
    let mut stream = model.generate("abc").unwrap();
    in_child(|| {
        let open = Runtime::open(&RuntimeOptions { echo: true, ..RuntimeOptions::default() });
        assert_eq!(open.unwrap_err().kind(), ErrorKind::Forked);
        assert_eq!(runtime.info().unwrap_err().status(), "forked");
        assert_eq!(model.tokenize("a").unwrap_err().kind(), ErrorKind::Forked);
        assert_eq!(model.generate("a").unwrap_err().kind(), ErrorKind::Forked);
        assert_eq!(stream.next().unwrap().unwrap_err().kind(), ErrorKind::Forked);
        let stream = stream.into_async();
        assert_eq!(stream.unwrap_err().kind(), ErrorKind::Forked);
        drop((model, runtime)); // closes nothing, and does not hang
    });
}

fn load_after_forking() {
    in_child(|| assert_eq!(echo().generate("abc").unwrap().text().unwrap(), "abc"));
    assert_eq!(echo().generate("abc").unwrap().text().unwrap(), "abc");
}
