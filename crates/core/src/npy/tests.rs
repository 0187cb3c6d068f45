use super::*;
use crate::DenseMatrix;

/// As `numpy.save` writes `numpy.array([[1, 2, 3], [4, 5, 6]], dtype=DESCR)` in version 1.
fn numpy_file(version: u8, dict: &str, data: &[u8]) -> tempfile::NamedTempFile {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([version, 0]);
    let prefix = if version == 1 { 10 } else { 12 };
    let padded = (prefix + dict.len() + 1).next_multiple_of(64) - prefix;
    match version {
        1 => bytes.extend((padded as u16).to_le_bytes()),
        _ => bytes.extend((padded as u32).to_le_bytes()),
    }
    bytes.extend(format!("{dict:<width$}\n", width = padded - 1).bytes());
    bytes.extend(data);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

fn dict(descr: &str, fortran: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}")
}

fn message(version: u8, dict: &str, data: &[u8]) -> String {
    open(numpy_file(version, dict, data).path()).unwrap_err().to_string()
}

#[test]
fn every_version_is_mapped_in_place() {
    let values = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
    for version in 1..=3 {
        let text = dict("<f4", "False", "(2, 3)");
        let file = numpy_file(version, &text, bytemuck::cast_slice(&values));
        let NpyMatrix::Mapped(matrix) = open(file.path()).unwrap() else {
            panic!("f32 is mapped");
        };
        assert_eq!(matrix.values(), values);
        assert_eq!(matrix.row(1), [4.0, 5.0, 6.0]);
    }
}

#[test]
fn other_float_types_are_named() {
    for (descr, dtype) in [("<f2", NpyType::F16), ("<f8", NpyType::F64)] {
        let data = vec![0u8; 6 * dtype.width()];
        let file = numpy_file(1, &dict(descr, "False", "(2, 3)"), &data);
        let NpyMatrix::Other(header) = open(file.path()).unwrap() else {
            panic!("{descr} needs a conversion");
        };
        assert_eq!(header, NpyHeader { dtype, rows: 2, dim: 3, offset: 128 });
    }
}

#[test]
fn written_files_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let matrix = DenseMatrix::new(3, (0..12).map(|v| v as f32 * 0.5).collect()).unwrap();
    write(&path, &matrix).unwrap();
    let NpyMatrix::Mapped(read) = open(&path).unwrap() else { panic!("f32 is mapped") };
    assert_eq!(read.values(), matrix.values());
    assert_eq!(read_header(&path).unwrap().offset % 64, 0);
}

#[test]
fn malformed_files_say_what_is_wrong() {
    let good = dict("<f4", "False", "(2, 3)");
    let data = [0u8; 24];
    assert!(message(4, &good, &data).contains("version 4 is unknown"));
    assert!(message(1, &good, &data[..20]).contains("(2, 3) makes 152 bytes"));
    assert!(message(1, &good, &[0; 25]).contains("the file has 153 bytes"));
    assert!(message(1, &dict("<f4", "True", "(2, 3)"), &data).contains("Fortran order"));
    assert!(message(1, &dict("<i8", "False", "(2, 3)"), &data).contains("dtype '<i8'"));
    assert!(message(1, &dict(">f4", "False", "(2, 3)"), &data).contains("dtype '>f4'"));
    assert!(message(1, &dict("<f4", "False", "(6,)"), &data).contains("1 dimensions"));
    assert!(message(1, &dict("<f4", "False", "(2, 0)"), &data).contains("width 0"));
    assert!(message(1, &dict("<f4", "False", "(2, -3)"), &data).contains("a dimension"));
    assert!(message(1, &dict("<f4", "No", "(2, 3)"), &data).contains("True or False"));
    let huge = dict("<f4", "False", "(4611686018427387904, 4611686018427387904)");
    assert!(message(1, &huge, &data).contains("more than 2^64"));
    assert!(message(1, "{'descr': '<f4'}", &data).contains("no key 'fortran_order'"));
    assert!(message(1, "{'descr': '<f4', 'descr': '<f4'}", &data).contains("occurs twice"));
    assert!(message(1, "{'descr: '<f4", &data).contains("expected"));
    assert!(message(1, "[('a', '<f4')]", &data).contains("expected '{'"));
    let structured = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}";
    assert!(message(1, structured, &data).contains("structured"));
}

#[test]
fn cut_off_and_foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let check = |bytes: &[u8], expected: &str| {
        std::fs::write(&path, bytes).unwrap();
        let message = open(&path).unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains("x.npy"), "{message}");
    };
    check(b"", "cut off");
    check(b"PAR1PAR1", "wrong magic");
    check(b"\x93NUMPY\x01\x00\x76", "cut off");
    check(b"\x93NUMPY\x01\x00\x76\x00{'descr'", "cut off");
    check(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr'", "4294967295 bytes");
}
