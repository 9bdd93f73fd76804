"""Context encoders, one file each. They map transitions of a task to a posterior over z."""

from pearl_lightning.inference.encoders.attention import AttentionEncoder
from pearl_lightning.inference.encoders.context_free import ContextFreeEncoder
from pearl_lightning.inference.encoders.encoder import ContextEncoder
from pearl_lightning.inference.encoders.mean import MeanEncoder
from pearl_lightning.inference.encoders.products import BayesianProductEncoder, GaussianProductEncoder
from pearl_lightning.inference.encoders.recurrent import RecurrentEncoder

__all__ = [
    "AttentionEncoder",
    "BayesianProductEncoder",
    "ContextEncoder",
    "ContextFreeEncoder",
    "GaussianProductEncoder",
    "MeanEncoder",
    "RecurrentEncoder",
]
