"""The official MSLAU-Net in plain numpy float64: the parity reference.

Written from the written specification alone (sections 1.2, 1.3 M1-M6, 1.4 and appendix A of the MSLAU-Net
spec), without reading the official code or `packages/mslaunet`, so that an agreement of the two means something.
It is meant to be read as the specification in code: groups, heads and kernel taps are explicit loops, re-reads of
a buffer are written as index arithmetic, and no deep-learning library is involved. Semantics: legacy token view,
legacy head merge, swapped softmax axes, official (shallow to deep) aggregation.
"""

import numpy as np
from scipy.special import erf

State = dict[str, np.ndarray]
DIMS = (64, 128, 256, 512)
DEPTHS = (4, 8, 11, 5)
KERNELS = (3, 5, 7, 9)
HEAD_DIM = 64  # heads of a stage = dim / 64; the width of a head inside MSLA is (dim / 4) / heads = 16


# ---------------------------------------------------------------- state dict (appendix A)
def official_shapes(num_classes: int) -> dict[str, tuple[int, ...]]:
    """Key to shape of the whole official state dict, the dead encoder norm and head included."""
    shapes: dict[str, tuple[int, ...]] = {}

    def affine(name: str, *shape: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = shape
        if bias:
            shapes[f"{name}.bias"] = shape[:1]

    def bn(name: str, dim: int) -> None:
        shapes.update({f"{name}.{leaf}": (dim,) for leaf in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    for s, (dim, depth) in enumerate(zip(DIMS, DEPTHS, strict=True)):
        d, c_in, k = (dim // 4, 3, 4) if s == 0 else (dim // 4, DIMS[s - 1], 2)
        one = (1, 1) if s < 2 else ()  # the MLP is made of 1x1 convolutions in LFE, of linear layers in GFE
        affine(f"encoder.patch_embed{s + 1}.norm", dim)
        affine(f"encoder.patch_embed{s + 1}.proj", dim, c_in, k, k)
        for p in (f"encoder.blocks{s + 1}.{i}" for i in range(depth)):
            affine(f"{p}.pos_embed", dim, 1, 3, 3)
            for norm in ("norm1", "norm2"):
                (bn if s < 2 else affine)(f"{p}.{norm}", dim)
            if s < 2:
                for name, *shape in (("conv1", dim, 1, 1), ("conv2", dim, 1, 1), ("attn", 1, 5, 5)):
                    affine(f"{p}.{name}", dim, *shape)
            else:
                shapes[f"{p}.attn.scale_weights"] = (4,)
                for k in KERNELS:
                    affine(f"{p}.attn.dw_conv_{k}x{k}.depthwise", d, 1, k, k)
                affine(f"{p}.attn.linear_attention.qkv", 3 * d, d, bias=False)
                affine(f"{p}.attn.linear_attention.proj", d, d)
                affine(f"{p}.attn.final_conv", dim, dim, 1, 1)
            affine(f"{p}.mlp.fc1", 4 * dim, dim, *one)
            affine(f"{p}.mlp.fc2", dim, 4 * dim, *one)
    bn("encoder.norm", 512)
    affine("encoder.head", 1, 512)
    for name, chain in (("mla_p4", (128, 64)), ("mla_p3", (256, 128, 64)), ("mla_p2", (512, 256, 128, 64))):
        for j in range(len(chain) - 1):  # conv, BN, ReLU, upsample: four modules per step
            affine(f"conv_mla.{name}.{4 * j}", chain[j + 1], chain[j], 1, 1, bias=False)
            bn(f"conv_mla.{name}.{4 * j + 1}", chain[j + 1])
    for name in [f"conv_mla.mla_p{n}_3x3" for n in (2, 3, 4, 5)] + [f"mlahead.head{n}" for n in (2, 3, 4, 5)]:
        affine(f"{name}.0", 64, 64, 3, 3, bias=False)
        bn(f"{name}.1", 64)
    affine("seg", num_classes, 256, 3, 3)
    return shapes


def random_official_state(num_classes: int, seed: int) -> State:
    """A full official state with no neutral value anywhere, scaled so that activations stay of order one."""
    rng = np.random.default_rng(seed)
    state: State = {}
    for key, shape in official_shapes(num_classes).items():
        if key.endswith("num_batches_tracked"):
            state[key] = np.array(rng.integers(1, 1000), dtype=np.int64)
        elif key.endswith(("running_var", "scale_weights")) or (key.endswith("weight") and len(shape) == 1):
            state[key] = rng.uniform(0.6, 1.4, shape)  # norm weights, running variances, the four scales
        elif key.endswith(("bias", "running_mean")):
            state[key] = rng.normal(0.0, 0.2, shape)
        else:  # convolution and linear weights: a gain over the fan-in, small where a residual sum could grow
            lfe_branch = key.startswith(("encoder.blocks1", "encoder.blocks2")) and "fc1" not in key
            gain = 2.0 if "qkv" in key else 1.2
            if lfe_branch or any(part in key for part in ("pos_embed", "linear_attention.proj", "seg")):
                gain = 0.3
            state[key] = rng.normal(0.0, gain / np.sqrt(np.prod(shape[1:])), shape)
    return state


# ---------------------------------------------------------------- elementary operations
def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1.0 + erf(x / np.sqrt(2.0)))  # exact, not the tanh approximation


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def linear(state: State, name: str, x: np.ndarray) -> np.ndarray:
    y = x @ state[f"{name}.weight"].T
    return y + state[f"{name}.bias"] if f"{name}.bias" in state else y


def layer_norm(state: State, name: str, x: np.ndarray, eps: float) -> np.ndarray:
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps) * state[f"{name}.weight"] + state[f"{name}.bias"]


def batch_norm(state: State, name: str, x: np.ndarray) -> np.ndarray:
    leaves = ("weight", "bias", "running_mean", "running_var")
    weight, bias, mean, var = (state[f"{name}.{leaf}"][:, None, None] for leaf in leaves)
    return (x - mean) / np.sqrt(var + 1e-5) * weight + bias


def conv(state: State, name: str, x: np.ndarray, stride: int = 1) -> np.ndarray:
    """Dense convolution: stride 1 pads k//2 zeros, the patch embeddings have stride = k and no padding."""
    weight = state[f"{name}.weight"]
    c_out, c_in, k, _ = weight.shape
    pad = k // 2 if stride == 1 else 0
    batch, _, h, w = x.shape
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    h, w = h // stride, w // stride
    y = np.zeros((batch, c_out, h * w))
    for i in range(k):
        for j in range(k):
            window = x[:, :, i : i + stride * h : stride, j : j + stride * w : stride]
            y += weight[:, :, i, j] @ window.reshape(batch, c_in, h * w)
    if f"{name}.bias" in state:
        y += state[f"{name}.bias"][:, None]
    return y.reshape(batch, c_out, h, w)


def depthwise(state: State, name: str, x: np.ndarray) -> np.ndarray:
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    k = weight.shape[-1]
    h, w = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    y = np.zeros(x.shape) + bias[:, None, None]
    for i in range(k):
        for j in range(k):
            y += weight[:, 0, i, j, None, None] * padded[:, :, i : i + h, j : j + w]
    return y


def resize(x: np.ndarray, size: int) -> np.ndarray:
    """Bilinear, align_corners=True: output i of n samples the input at i * (n_in - 1) / (n - 1)."""
    for axis in (2, 3):
        n_in = x.shape[axis]
        position = np.arange(size) * (n_in - 1) / (size - 1)
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, n_in - 1)
        t = (position - low)[:, None] if axis == 2 else position - low
        x = (1.0 - t) * x.take(low, axis) + t * x.take(high, axis)
    return x


def to_tokens(x: np.ndarray) -> np.ndarray:
    """(B,C,H,W) to (B,N,C), tokens in raster order: a real transpose."""
    return x.reshape(*x.shape[:2], -1).transpose(0, 2, 1)


def to_map(tokens: np.ndarray) -> np.ndarray:
    """(B,N,C) back to (B,C,H,W) on the square grid: the inverse of `to_tokens`."""
    side = int(np.sqrt(tokens.shape[1]))
    return tokens.transpose(0, 2, 1).reshape(len(tokens), -1, side, side)


# ---------------------------------------------------------------- MSLA
def legacy_view(tokens: np.ndarray) -> np.ndarray:
    """The (B,N,C) buffer read as (B,C,H,W) with no transpose (M1): element f is token f // C, channel f % C."""
    batch, n, c = tokens.shape
    side = int(np.sqrt(n))
    token, channel = np.divmod(np.arange(n * c), c)
    return tokens[:, token, channel].reshape(batch, c, side, side)


def legacy_unview(planes: np.ndarray) -> np.ndarray:
    """The inverse of `legacy_view`: channel c of token t is element t*C + c of the (B,C,H,W) buffer."""
    batch, c, h, w = planes.shape
    position = np.arange(h * w)[:, None] * c + np.arange(c)
    return planes.reshape(batch, -1)[:, position]


def legacy_merge(heads_out: np.ndarray) -> np.ndarray:
    """(B,h,N,e) read as (B,N,h*e) with no transpose (M3): slot j of token t is row t*h + j of (head, token)."""
    batch, heads, n, e = heads_out.shape
    merged = np.empty((batch, n, heads * e))
    for j in range(heads):
        head, token = np.divmod(np.arange(n) * heads + j, n)
        merged[:, :, j * e : (j + 1) * e] = heads_out[:, head, token]
    return merged


def attend(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """One head of (B,N,e) with the swapped axes (M4): K over its channels, Q over the tokens, no scale."""
    context = softmax(k, axis=2).transpose(0, 2, 1) @ v
    return softmax(q, axis=1) @ context


def linear_attention(state: State, prefix: str, y: np.ndarray, heads: int) -> np.ndarray:
    batch, n, d = y.shape
    e = d // heads
    qkv = linear(state, f"{prefix}.qkv", y)  # columns are laid out (3, h, e)
    out = np.empty((batch, heads, n, e))
    for head in range(heads):
        q, k, v = (qkv[:, :, part * d + head * e : part * d + (head + 1) * e] for part in range(3))
        out[:, head] = attend(q, k, v)
    return linear(state, f"{prefix}.proj", legacy_merge(out))


def msla_branches(state: State, prefix: str, tokens: np.ndarray) -> list[np.ndarray]:
    """The four local maps Y_g = ReLU(depthwise_k(X_g) + bias + X_g), k = 3, 5, 7, 9, of the legacy view."""
    planes = legacy_view(tokens)
    d = planes.shape[1] // 4
    branches = []
    for g, k in enumerate(KERNELS):
        x = planes[:, g * d : (g + 1) * d]
        branches.append(np.maximum(depthwise(state, f"{prefix}.dw_conv_{k}x{k}.depthwise", x) + x, 0.0))
    return branches


def msla_official(state: State, prefix: str, tokens: np.ndarray, heads: int) -> np.ndarray:
    """MSLA on tokens (B,N,C), prefix as 'encoder.blocks3.0.attn'; one attention serves the four scales (M6)."""
    parts = []
    for g, y in enumerate(msla_branches(state, prefix, tokens)):
        attended = linear_attention(state, f"{prefix}.linear_attention", to_tokens(y), heads)
        parts.append(to_map(attended) * state[f"{prefix}.scale_weights"][g])
    return legacy_unview(conv(state, f"{prefix}.final_conv", np.concatenate(parts, axis=1)))


# ---------------------------------------------------------------- blocks, decoder, network
def lfe(state: State, p: str, x: np.ndarray) -> np.ndarray:
    x = x + depthwise(state, f"{p}.pos_embed", x)
    y = conv(state, f"{p}.conv1", batch_norm(state, f"{p}.norm1", x))
    x = x + conv(state, f"{p}.conv2", depthwise(state, f"{p}.attn", y))
    y = gelu(conv(state, f"{p}.mlp.fc1", batch_norm(state, f"{p}.norm2", x)))
    return x + conv(state, f"{p}.mlp.fc2", y)


def gfe(state: State, p: str, x: np.ndarray) -> np.ndarray:
    heads = x.shape[1] // HEAD_DIM
    t = to_tokens(x + depthwise(state, f"{p}.pos_embed", x))
    t = t + msla_official(state, f"{p}.attn", layer_norm(state, f"{p}.norm1", t, 1e-6), heads)
    y = gelu(linear(state, f"{p}.mlp.fc1", layer_norm(state, f"{p}.norm2", t, 1e-6)))
    return to_map(t + linear(state, f"{p}.mlp.fc2", y))


def cbr(state: State, name: str, x: np.ndarray, first: int = 0) -> np.ndarray:
    return np.maximum(batch_norm(state, f"{name}.{first + 1}", conv(state, f"{name}.{first}", x)), 0.0)


def encoder(state: State, x: np.ndarray) -> list[np.ndarray]:
    maps = []
    for s in range(4):
        p = f"encoder.patch_embed{s + 1}"
        x = conv(state, f"{p}.proj", x, stride=4 if s == 0 else 2)
        x = to_map(layer_norm(state, f"{p}.norm", to_tokens(x), 1e-5))
        for i in range(DEPTHS[s]):
            x = (lfe if s < 2 else gfe)(state, f"encoder.blocks{s + 1}.{i}", x)
        maps.append(x)
    return maps


def decoder(state: State, maps: list[np.ndarray], size: int) -> np.ndarray:
    levels = [maps[0]]  # S1
    for name, x in zip(("mla_p4", "mla_p3", "mla_p2"), maps[1:], strict=True):  # S2, S3, S4
        for step in range(len(levels)):
            x = resize(cbr(state, f"conv_mla.{name}", x, first=4 * step), 2 * x.shape[-1])
        levels.append(x)
    total, heads = np.zeros(maps[0].shape), []
    for s, level in zip((5, 4, 3, 2), levels, strict=True):  # A1 is p5, A4 is p2 (M5); p5 goes to head2
        total = total + level
        x = cbr(state, f"mlahead.head{7 - s}", cbr(state, f"conv_mla.mla_p{s}_3x3", total))
        heads.append(resize(x, 2 * x.shape[-1]))
    return resize(conv(state, "seg", np.concatenate(heads, axis=1)), size)


def official_forward(state: State, image: np.ndarray) -> np.ndarray:
    """Logits (B,classes,H,W) of a float64 image (B,C,H,W), C = 1 or 3, square, side a multiple of 32."""
    channels, height, width = image.shape[1:]
    if channels not in (1, 3) or height != width or height % 32:
        raise ValueError(f"the official network takes square 1- or 3-channel images of 32n px, not {image.shape}")
    image = np.asarray(image, dtype=np.float64)
    if channels == 1:
        image = np.repeat(image, 3, axis=1)
    return decoder(state, encoder(state, image), width)
