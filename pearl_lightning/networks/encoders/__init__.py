"""Context encoders, one file each: from transitions of a task to a posterior over its latent."""

from pearl_lightning.networks.encoders.attention import AttentionEncoder
from pearl_lightning.networks.encoders.context_free import ContextFreeEncoder
from pearl_lightning.networks.encoders.encoder import ContextEncoder
from pearl_lightning.networks.encoders.mean import MeanEncoder
from pearl_lightning.networks.encoders.products import BayesianProductEncoder, GaussianProductEncoder
from pearl_lightning.networks.encoders.recurrent import RecurrentEncoder

__all__ = [
    "AttentionEncoder",
    "BayesianProductEncoder",
    "ContextEncoder",
    "ContextFreeEncoder",
    "GaussianProductEncoder",
    "MeanEncoder",
    "RecurrentEncoder",
]
