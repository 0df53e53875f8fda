//! Sees to it that the binary is built again when the web page has been.

fn main() {
    // Cargo takes a folder that is not there for one that has changed, and would build again every time.
    let page = "../../web/dist";
    if let Err(error) = std::fs::create_dir_all(page) {
        println!("cargo::warning={page}: {error}");
    }
    println!("cargo::rerun-if-changed={page}");
    println!("cargo::rerun-if-changed=build.rs");
}
