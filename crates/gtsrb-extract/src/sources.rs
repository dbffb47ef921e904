//! What an extraction starts from: images, a backbone, and the view that settings make of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use artifact::Work;
use artifact::embeddings::{Shard, describe};
use artifact::images::ImageSet;
use embed::{Kernels, Provider, Runtime, View, Views};
use stage::{Result, embeddings_dir};

use crate::args::Settings;
use crate::backbone::Backbone;
use crate::index::Index;
use crate::{TOOL, VERSION};

/// The inputs of a run and what is to be made of them.
pub struct Sources {
    /// The run's folder.
    pub run: PathBuf,
    /// Its images.
    pub images: ImageSet,
    /// Its backbone.
    pub backbone: Backbone,
    /// Everything else that shapes embeddings.
    pub views: Views,
    /// What decides the bytes of the index.
    pub work: Work,
}

impl Sources {
    /// Opens the run in the folder `run`; no model is loaded where the device is named.
    ///
    /// # Errors
    /// [`Missing`](stage::Fault::Missing) where a stage before hasn't run,
    /// [`Unavailable`](stage::Fault::Unavailable) without ONNX Runtime or the device.
    pub fn open(run: &Path, settings: &Settings) -> Result<Self> {
        let images = ImageSet::open(run)?;
        let backbone = Backbone::open(run)?;
        let views = Views { plain: view_of(settings, &backbone)?, augmented: settings.augment };
        let work = work_of(&images, &views);
        Ok(Self { run: run.to_owned(), images, backbone, views, work })
    }

    /// Each view with the rows of `index` whose embeddings it has.
    pub fn views(&self, index: &Index) -> impl Iterator<Item = (View, Index)> {
        self.views.all().map(|view| {
            let index = index.of_splits(view.splits());
            (view, index)
        })
    }

    /// The embeddings that a run over `index` has in all views, or of those the share `shard`.
    pub fn embeddings(&self, index: &Index, shard: Option<Shard>) -> usize {
        self.views(index).map(|(_, index)| index.share(shard)).sum()
    }

    /// Notes in the cache, for people, what `view` is.
    pub fn describe(&self, view: &View) -> Result<()> {
        describe(&embeddings_dir()?, view.hash(), &view.parameters(), &self.backbone.about);
        Ok(())
    }
}

/// What the settings, the backbone and the library make of it.
fn view_of(settings: &Settings, backbone: &Backbone) -> Result<View> {
    let on_gpu = [settings.batch(Provider::Cuda), backbone.size, backbone.size, 3];
    let provider = settings.device.choose(&backbone.onnx, settings.kernels(), &on_gpu)?;
    Ok(View {
        backbone: backbone.hash,
        size: backbone.size,
        crop: settings.crop,
        margin: settings.margin,
        filter: View::BILINEAR.to_owned(),
        resize: settings.resize,
        batch: settings.batch(provider),
        storage: settings.storage,
        runtime: Runtime::load()?.version().to_owned(),
        provider,
        kernels: match provider {
            Provider::Cpu => Kernels::default(),
            Provider::Cuda => settings.kernels(),
        },
        preprocessing: View::PREPROCESSING,
        augmentation: None,
    })
}

fn work_of(images: &ImageSet, views: &Views) -> Work {
    Work {
        tool: TOOL.to_owned(),
        version: VERSION.to_owned(),
        parameters: views.parameters(),
        inputs: BTreeMap::from([
            ("images".to_owned(), images.manifest().content()),
            ("backbone".to_owned(), views.plain.backbone),
        ]),
    }
}
