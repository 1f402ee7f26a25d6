"""The README of an exported folder: a model card as the Hugging Face Hub shows it."""

from detnas_trainer.model_card.card import model_card

__all__ = ["model_card"]
