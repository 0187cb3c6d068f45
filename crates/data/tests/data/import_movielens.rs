//! The layouts of MovieLens.

use std::fs;
use std::path::Path;

use das_core::EntityIds;
use das_data::import::{MovieLensImport, movielens};
use das_data::texts::item_texts;
use das_data::{DataSet, SplitKind};

use crate::common::*;

fn imported(files: &[(&str, &[u8])]) -> (tempfile::TempDir, DataSet) {
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (folder.path().join("ml"), folder.path().join("out"));
    write_files(&source, files);
    movielens(&MovieLensImport::default(), &source, &out).unwrap();
    let data = DataSet::open(&out).unwrap();
    (folder, data)
}

fn write_files(folder: &Path, files: &[(&str, &[u8])]) {
    fs::create_dir(folder).unwrap();
    for (name, content) in files {
        fs::write(folder.join(name), content).unwrap();
    }
}

#[test]
fn the_100k_layout() {
    let (_folder, data) = imported(&[
        ("u.data", b"196\t2\t3\t881250949\n186\t1\t4\t891717742\n196\t1\t5\t881250950\n"),
        (
            "u.item",
            b"1|Toy Story (1995)|01-Jan-1995||http://x|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n\
              2|Mis\xe9rables, Les (1995)|01-Jan-1995||http://x|0|0|0|0|0|0|0|0|1|0|0|0|0|0|0|0|0|0|0\n\
              3|unknown|||||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n",
        ),
        ("u.user", b"186|39|F|executive|00000\n196|49|M|writer|55105\n"),
    ]);
    assert_eq!(data.item_ids(), &EntityIds::Int(vec![1, 2, 3]));
    assert_eq!(data.user_ids(), &EntityIds::Int(vec![186, 196]));
    let texts = item_texts(data.items(), Some("{title} [{year}] {attributes}")).unwrap();
    let expected = [
        "Toy Story [1995] Animation, Children's, Comedy",
        "Misérables, Les [1995] Drama",
        "unknown Adventure",
    ];
    assert_eq!(texts[..2], expected[..2]);
    let log = data.interactions();
    assert_eq!((log.users(), log.items()), (&[1, 0, 1][..], &[1, 0, 0][..]));
    assert_eq!(log.order(), [881250949, 891717742, 881250950]);
    assert_eq!((0..3).map(|row| log.is_positive(row)).collect::<Vec<_>>(), [false, true, true]);
    let users: Vec<&str> = ["age", "gender", "occupation"]
        .map(|name| data.users().column(name).unwrap().first(1))
        .to_vec();
    assert_eq!(users, ["49", "M", "writer"]);
    assert!(das_data::Split::new(&data, SplitKind::GlobalTime).is_ok());
}

#[test]
fn the_1m_layout() {
    let (_folder, data) = imported(&[
        ("ratings.dat", b"1::10::5::978300760\n2::20::3::978302109\n"),
        (
            "movies.dat",
            b"10::L\xe9on (1994)::Crime|Drama\n20::2001: A Space Odyssey (1968)::Sci-Fi\n",
        ),
        ("users.dat", b"1::F::1::10::48067\n2::M::56::16::70072\n"),
    ]);
    let texts = item_texts(data.items(), None).unwrap();
    assert_eq!(texts, ["Léon. 1994. Crime, Drama", "2001: A Space Odyssey. 1968. Sci-Fi"]);
    assert_eq!(data.users().column("occupation").unwrap().first(0), "K-12 student");
    assert_eq!(data.users().column("age").unwrap().first(1), "56");
    assert_eq!(data.interactions().len(), 2);
}

#[test]
fn the_25m_layout() {
    let (_folder, data) = imported(&[
        (
            "ratings.csv",
            b"userId,movieId,rating,timestamp\n1,296,5.0,1147880044\n1,306,3.5,1147868817\n",
        ),
        (
            "movies.csv",
            "movieId,title,genres\n296,Pulp Fiction (1994),Comedy|Crime\n\
             306,\"City of Lost Children, The (Cité, La) (1995)\",(no genres listed)\n"
                .as_bytes(),
        ),
    ]);
    let texts = item_texts(data.items(), None).unwrap();
    let lost = "City of Lost Children, The (Cité, La). 1995";
    assert_eq!(texts, ["Pulp Fiction. 1994. Comedy, Crime", lost]);
    assert_eq!(data.users().described(), 0);
    assert_eq!(data.interactions().rows_of(0), [1, 0]);
}

#[test]
fn faults_are_named_with_their_line() {
    let error = |files: &[(&str, &[u8])]| {
        let folder = tempfile::tempdir().unwrap();
        let (source, out) = (folder.path().join("ml"), folder.path().join("out"));
        write_files(&source, files);
        let message =
            movielens(&MovieLensImport::default(), &source, &out).unwrap_err().to_string();
        assert_only(folder.path(), &["ml"]);
        message
    };
    assert_says(&error(&[]), &["ml", "not a MovieLens folder", "u.data"]);
    assert_says(&error(&[("u.data", b"1\t2\t3\n")]), &["u.data: line 1", "3 fields, expected 4"]);
    assert_says(&error(&[("u.data", b"1\t2\tx\t4\n")]), &["u.data: line 1", "a rating, found `x`"]);
    assert_says(&error(&[("ratings.dat", b"1::2::3::4\n")]), &["movies.dat", "cannot read"]);
    let users = error(&[
        ("ratings.dat", b"1::2::3::4\n"),
        ("movies.dat", b"2::A::B\n"),
        ("users.dat", b"1::F::1::99::48067\n"),
    ]);
    assert_says(&users, &["users.dat: line 1", "occupation code 0 to 20, found `99`"]);
}
