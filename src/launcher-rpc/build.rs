//! Compiles the services without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["proto/cmd.proto", "proto/cmd_info.proto", "proto/notify.proto", "proto/notify_info.proto"];
    for file in files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
