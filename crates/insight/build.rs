//! Lists the heads that have been trained, so that they are data: whoever trains one has no code to write.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=heads");
    println!("cargo::rerun-if-changed=build.rs");
    let folder = |name: &str| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(name));
    let (heads, out) = (folder("CARGO_MANIFEST_DIR")?.join("heads"), folder("OUT_DIR")?);
    let mut files: Vec<PathBuf> = Vec::new();
    // Of the multilingual embedding, and of the English one, which may have none.
    for folder in [heads.clone(), heads.join("minilm")].iter().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder)? {
            files.push(entry?.path());
        }
    }
    files.sort();
    let mut list = String::from("&[\n");
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "onnx")) {
        let name = file.strip_prefix(&heads).map_err(io::Error::other)?.with_extension("");
        let name = name.to_string_lossy().replace('\\', "/");
        list += &format!("    ({name:?}, include_bytes!({:?}).as_slice()),\n", file.to_string_lossy());
    }
    fs::write(out.join("heads.rs"), list + "]\n")
}
