//! `das publish`.

use das_core::artifact::{Artifact, ArtifactWriter, Existing};

use super::{print, print_json};
use crate::args::PublishArgs;
use crate::run_folder::artifact_of;

/// Copies the artifact of a run to another folder, in the place of the one that stands there.
pub fn run(args: &PublishArgs) -> anyhow::Result<()> {
    let artifact = Artifact::open(&artifact_of(&args.run))?;
    ArtifactWriter::copy(&artifact, &args.to, Existing::Replace)?;
    let space = &artifact.manifest().id_space;
    if args.json {
        return print_json(&serde_json::json!({"to": args.to, "id_space": space}));
    }
    print(&format!("{} holds the artifact of {}\n", args.to.display(), args.run.display()))
}
