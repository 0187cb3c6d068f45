//! temp
use das_content::*;
use das_core::{
    RowMatrix,
    progress::{Cancel, Silent},
};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let t = std::fs::read_to_string(&a[1]).unwrap();
    let texts: Vec<&str> = t.split('\n').collect();
    let cfg: TfidfSvdConfig = serde_json::from_str(&a[3]).unwrap();
    let s = std::time::Instant::now();
    let mut rng = das_core::streams::stream(1, "embed", 0);
    let (e, r) = TfidfSvd::fit(&texts, &cfg, &mut rng, &Silent, &Cancel::default()).unwrap();
    let f = s.elapsed().as_secs_f64();
    let s = std::time::Instant::now();
    let m = e.embed(&texts, &Silent, &Cancel::default()).unwrap();
    eprintln!(
        "fit {f:.2}s embed {:.2}s fallback {:?} {r:?}",
        s.elapsed().as_secs_f64(),
        m.fallback_rows.len()
    );
    let b: Vec<u8> = m.matrix.values().iter().flat_map(|x| x.to_le_bytes()).collect();
    let _ = m.matrix.dim();
    std::fs::write(&a[2], b).unwrap();
}
