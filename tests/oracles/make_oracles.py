"""Makes the committed golden files and small exported models (`make oracles`). Needs PyTorch:
requirements-torch.txt. Everything is seeded; the outputs are small and are committed. The
weights are those of $BACKBONE_WEIGHTS, or what `make setup` fetched.
"""

import os
import pathlib

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
import torchvision
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.models.vision_transformer import VisionTransformer

import backbone_torch
from golden import sample_pictures, write_golden

HERE = pathlib.Path(__file__).parent
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def lite0(weights):
    sides = {"stem": 48, "head": 3}
    for i in range(16):
        sides[f"block{i}"] = 48 if i < 1 else 24 if i < 3 else 12 if i < 5 else 6 if i < 11 else 3
    order = ["stem", *(f"block{i}" for i in range(16)), "head"]
    # Every layer whole, at an even size.
    backbone_torch.main(weights, HERE / "golden/lite0-96.npz", 96, *(f"{n}:{sides[n]}" for n in order))
    # An odd size, where SAME is asymmetric elsewhere, and grids that don't divide the maps.
    taps = ["stem:7", "block2:5", "block4:6", "block7:4", "block10:5", "block15:2", "head:1"]
    backbone_torch.main(weights, HERE / "golden/lite0-75.npz", 75, *taps)


def mobilenet():
    return torchvision.models.mobilenet_v2(width_mult=0.1, num_classes=10)


def resnet(width=8):
    """A ResNet-10 of small width; the usual one is 64."""
    model = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)
    model.inplanes = width
    model.conv1 = torch.nn.Conv2d(3, width, 7, 2, 3, bias=False)
    model.bn1 = torch.nn.BatchNorm2d(width)
    for i, stride in enumerate([1, 2, 2, 2]):
        setattr(model, f"layer{i + 1}", model._make_layer(BasicBlock, width << i, 1, stride=stride))
    model.fc = torch.nn.Linear(8 * width, 10)
    return model


def vit():
    return VisionTransformer(
        image_size=64, patch_size=16, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=10
    )


class Bytes(torch.nn.Module):
    """A model that takes bytes, colours last, and normalises them itself."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, pictures):
        x = pictures.permute(0, 3, 1, 2).float() / 255.0
        return self.inner((x - MEAN) / STD)


def randomise(model, seed):
    """Weights as at the start of training, but norms that do something."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.LayerNorm)):
            module.weight.data.uniform_(0.6, 1.4, generator=generator)
            module.bias.data.uniform_(-0.3, 0.3, generator=generator)
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            fan = parameter[0].numel() if parameter.dim() != 3 else parameter.shape[2]
            parameter.data.normal_(0, fan**-0.5, generator=generator)
    return model.eval()


def normalise(pictures):
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255.0
    return (x - MEAN) / STD


def strip(path):
    """Removes what the exporter says about where the model was made."""
    model = onnx.load(path)
    model.doc_string = model.graph.doc_string = ""
    del model.metadata_props[:], model.graph.metadata_props[:], model.functions[:]
    for item in [*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output]:
        item.doc_string = ""
        del item.metadata_props[:]
    onnx.save(model, path)


def record(model, modules, inputs):
    """The outputs of some modules, and what the classifier reads."""
    seen = {}
    hooks = [
        dict(model.named_modules())[name].register_forward_hook(
            lambda _m, _i, out, name=name: seen.__setitem__(name, out)
        )
        for name in modules
    ]
    last = [m for m in model.modules() if isinstance(m, torch.nn.Linear)][-1]
    hooks.append(last.register_forward_pre_hook(lambda _m, i: seen.__setitem__("", i[0])))
    with torch.no_grad():
        model(inputs)
    for hook in hooks:
        hook.remove()
    return seen


def tensor_names(path, inputs, seen):
    """Which tensors of the exported graph are the recorded ones: those of equal values."""
    graph = onnx.load(path)
    names = [o for n in graph.graph.node for o in n.output if o]
    known = {o.name for o in graph.graph.output}
    graph.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in known)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options)
    feed = {session.get_inputs()[0].name: inputs}
    values = dict(zip(names, session.run(names, feed)))
    found = {}
    for module, wanted in seen.items():
        wanted = wanted.numpy()
        equal = [
            n
            for n, v in values.items()
            if v.shape == wanted.shape and np.abs(v - wanted).max() <= 1e-4 * np.abs(wanted).max()
        ]
        found[module] = equal[-1]
    return found


def pool(values, grid):
    """A recorded tensor as the backbone's tap: map, tokens or vector."""
    if values.dim() == 3 and grid == "cls":
        return values[:, 0]
    if values.dim() == 3:
        side = int(values.shape[1] ** 0.5)
        tokens = values[:, values.shape[1] - side * side :]
        values = tokens.transpose(1, 2).reshape(len(values), -1, side, side)
    if values.dim() == 4:
        return F.adaptive_avg_pool2d(values, int(grid)).flatten(1)
    return values


def fixture(name, model, size, taps, seed, **export):
    model = randomise(model, seed)
    pictures = sample_pictures(2, size, seed)
    takes_bytes = isinstance(model, Bytes)
    inputs = torch.from_numpy(pictures) if takes_bytes else normalise(pictures)
    batch = 1 if export.pop("fixed_batch", False) else 2
    path = HERE / f"fixtures/{name}.onnx"
    torch.onnx.export(
        model, (inputs[:batch],), str(path), input_names=["input"], output_names=["scores"],
        external_data=False, **export,
    )
    strip(path)
    seen = record(model, [module for module, _ in taps if module], inputs)
    one = record(model, [module for module, _ in taps if module], inputs[:1])
    names = tensor_names(path, inputs[:1].numpy(), one)
    specs = [f"{names[module]}:{grid}" for module, grid in taps]
    rows = [pool(seen[module], grid).numpy() for module, grid in taps]
    write_golden(HERE / f"golden/{name}.npz", pictures, specs, rows)
    print(f"{path}: {path.stat().st_size} bytes")


def state_dict():
    """A small .pth in the old format: a permuted view, a view that shares its storage, integers."""
    base = torch.arange(24.0).reshape(2, 3, 4)
    tensors = {"permuted": base.permute(2, 0, 1), "part": base[1, 1:, 2], "count": torch.tensor(5)}
    torch.save(tensors, HERE / "fixtures/small.pth", _use_new_zipfile_serialization=False)


def fill(message, seen):
    """Sets every field of a message once; of a oneof the first that wasn't set before."""
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if field.full_name in seen or (oneof and message.WhichOneof(oneof.name)):
            continue
        seen.add(field.full_name)
        values = getattr(message, field.name)
        if field.message_type:
            for inner in [values.add(), values.add()] if field.is_repeated else [values]:
                inner.SetInParent()
                fill(inner, seen)
        else:
            text = {9: "text", 12: b"bytes", 1: 1.5, 2: 2.5}
            value = text.get(field.type, 1)
            values.extend([value] * 2) if field.is_repeated else setattr(message, field.name, value)


def every_field():
    """A message with every field of the format, to see that none is dropped."""
    model, seen = onnx.ModelProto(), set()
    fill(model, seen)
    every = set()
    for descriptor in onnx.onnx_ml_pb2.DESCRIPTOR.message_types_by_name.values():
        for message in [descriptor, *descriptor.nested_types]:
            every |= {field.full_name for field in message.fields}
    assert not every - seen, every - seen
    (HERE / "fixtures/every_field.onnx").write_bytes(model.SerializeToString(deterministic=True))


def main():
    cache = os.environ.get("CACHE_DIR") or HERE.parent.parent / "cache"
    weights = os.environ.get("BACKBONE_WEIGHTS") or (
        pathlib.Path(cache) / "downloads/efficientnet-lite0/efficientnet-lite0-57934424.pth"
    )
    torch.set_num_threads(1)
    torch.manual_seed(1)
    for folder in ("golden", "fixtures"):
        (HERE / folder).mkdir(exist_ok=True)
    every_field()
    state_dict()
    lite0(weights)
    batch = torch.export.Dim("batch")
    side = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    taps = [("features.3", 5), ("features.10", 2), ("", 1)]
    fixture("mobilenet_v2", mobilenet(), 64, taps, 1, dynamic_shapes=({0: batch, **side},))
    # Fixed batch and size, by the older exporter.
    taps = [("layer1", 4), ("layer3", 3), ("", 1)]
    fixture("resnet", resnet(), 64, taps, 2, dynamo=False, opset_version=13, fixed_batch=True)
    taps = [("encoder.layers.encoder_layer_0", 4), ("encoder.layers.encoder_layer_1", 3), ("encoder.ln", "cls"), ("", 1)]
    fixture("vit", vit(), 64, taps, 3, dynamic_shapes=({0: batch},))
    taps = [("inner.layer2", 3)]
    fixture("bytes", Bytes(resnet(4)), 64, taps, 4, dynamic_shapes=({0: batch},))


if __name__ == "__main__":
    main()
