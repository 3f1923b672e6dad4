//! Empty on purpose: ../Cargo.toml only pins the package that carries the sources of llama.cpp.
