//! Data sets, splits, clicks, texts, importers and the generator, through the public interface.

mod bad_embeddings;
mod bad_input;
mod clicks;
mod common;
mod embeddings;
mod import_amazon;
mod import_movielens;
mod import_tabular;
mod leakage;
mod real_data;
mod splits;
mod synthetic;
mod tables;
mod texts;
mod views;
