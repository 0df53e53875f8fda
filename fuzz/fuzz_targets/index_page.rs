//! A page of a package registry's index from anyone: what is found on it is an address of that file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sotto_models::fuzz::find_link;

fuzz_target!(|page: &str| {
    if let Some(link) = find_link(page, "https://pypi.org/simple/p/", "p-1.whl") {
        assert!(link.starts_with("https://") || link.starts_with("http://"), "{link}");
        assert!(link.contains("/p-1.whl") && !link.contains('#'), "{link}");
    }
});
