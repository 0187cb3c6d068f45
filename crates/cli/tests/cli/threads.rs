//! Results do not depend on the number of threads.

use crate::common::*;

#[test]
fn one_thread_and_two_give_the_same_bytes() {
    let bench = Bench::new();
    let [one, two] = ["1", "2"].map(|threads| {
        let out = format!("run-{threads}");
        let artifact = bench.train("data", &out, &[&format!("threads={threads}")]);
        let mut files = files_below(&artifact);
        // These two hold the setting itself.
        files.remove("config.toml").unwrap();
        files.remove("manifest.json").unwrap();
        let mut manifest = manifest(&artifact);
        manifest["files"].as_object_mut().unwrap().remove("config.toml");
        (files, manifest, metrics(&bench.path(&out)))
    });
    assert!(one.0.contains_key("icdm.safetensors"), "{:?}", one.0.keys());
    assert_eq!(one.1, two.1);
    assert!(one.0 == two.0 && one.2 == two.2);
}
