"""Models of the Gemma family that are not run here, and why: what there is to say instead of an unknown name."""

from __future__ import annotations

_ENCODER_DECODER = (
    "It is an encoder and a decoder joined by cross-attention; decoders alone and encoders alone are run."
)
_DIFFUSION = "It writes blocks of tokens by diffusion instead of one token after another."
_IMAGES_FIRST = "Its prompts begin with an image that is read in both directions; models of text are run."
_PART = "It is a part of a model for images or sound; open the text model it belongs to."

REASONS = {
    "recurrent_gemma": "It keeps a recurrent state in most layers, for which there is neither cache nor kernel.",
    "t5gemma": _ENCODER_DECODER,
    "t5_gemma_module": _ENCODER_DECODER,
    "t5gemma2": _ENCODER_DECODER,
    "t5gemma2_text": _ENCODER_DECODER,
    "t5gemma2_encoder": _ENCODER_DECODER,
    "t5gemma2_decoder": _ENCODER_DECODER,
    "paligemma": _IMAGES_FIRST,
    "shieldgemma2": "It judges images; ShieldGemma 1 judges text (`Model.classify`).",
    "diffusion_gemma": _DIFFUSION,
    "diffusion_gemma_text": _DIFFUSION,
    "siglip_vision_model": _PART,
    "gemma3n_vision": _PART,
    "gemma3n_audio": _PART,
    "gemma4_vision": _PART,
    "gemma4_audio": _PART,
    "clip": _PART,  # what GGUF files of image and sound encoders ("mmproj") call themselves
}
"""By the name a checkpoint gives itself, `model_type` or `general.architecture`; transformers 5.24, llama.cpp."""
