//! The `convened` program; everything is in the library.

fn main() -> std::process::ExitCode {
    convened::cli::main()
}
