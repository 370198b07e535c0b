// Compiles the whole contract with tonic's defaults, but for the name of the one file that includes
// the rest.
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::var("TANDEM_PROTO")?;
    let mut protos = Vec::new();
    find_protos(Path::new(&root), &mut protos)?;
    tonic_prost_build::configure()
        .include_file("contract.rs")
        .compile_protos(&protos, &[PathBuf::from(&root)])?;
    Ok(())
}

fn find_protos(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_protos(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}
