"""The image and text towers that a `VideoCLIP` stands on; each family has its own."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

__all__ = ["Towers"]


class Towers(nn.Module):
    """What a `VideoCLIP` needs of its encoders.

    Attributes:
        embed_dim: D.
        image_size: S, pixels a side.
        context_length: tokens that the text tower reads, special ones included.
        architecture: of the image tower, for messages.
        grid_side: patch tokens a side; None where there is no square grid of them.
        token_width: W, of a patch token; 0 where there is no grid of them.
        logit_bias: of a sigmoid-trained model; None for softmax-trained ones.
        any_text_length: whether the text tower reads texts of any length up to the context; else they are padded to it.
    """

    embed_dim: int
    image_size: int
    context_length: int
    architecture: str
    grid_side: int | None = None
    token_width: int = 0
    logit_bias: Tensor | None
    any_text_length: bool

    @property
    @abstractmethod
    def logit_scale(self) -> Tensor:
        """Return the scale of the logits as a factor, not its logarithm."""

    @abstractmethod
    def add_bias(self, value: float) -> None:
        """Give a softmax-trained model the bias of a sigmoid-trained one, for fine-tuning with a sigmoid loss."""

    @abstractmethod
    def save_parts(self, folder: Path) -> dict[str, Any]:
        """Write the files that only this family has into `folder`, and return what its config.json says of the towers.

        Raises:
            OutputError: a file cannot be written.
        """

    # pictures

    @abstractmethod
    def image(self, pictures: Tensor) -> Tensor:
        """Encode pictures [N, 3, S, S] -> [N, D], not normalised."""

    @abstractmethod
    def image_and_tokens(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Encode pictures [N, 3, S, S] -> [N, D] and the patch tokens after the last block [N, grid_side ** 2, W].

        Only where `grid_side` is not None.
        """

    def image_blocks(self) -> list[nn.Module]:
        """Return the transformer blocks of the image tower, each with an attention `attn`; none where it has none."""
        return []

    # texts

    @abstractmethod
    def text(self, texts: Sequence[str]) -> Tensor:
        """Encode A texts -> [A, D], not normalised; texts past the context are cut."""

    @abstractmethod
    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of every text before cutting, special tokens included."""

    @abstractmethod
    def text_parameters(self) -> list[tuple[str, Tensor]]:
        """Return the named weights of the text tower."""

    @abstractmethod
    def text_facts(self) -> tuple[object, ...]:
        """Return what the text tower depends on besides its weights, such as its activation."""

    # the text tower as a graph, for `olmv.models.export`

    @abstractmethod
    def text_inputs(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Tokenize A texts -> what `text_graph` reads, by name: ids [A, L] int64, for some also a mask [A, L]."""

    @abstractmethod
    def text_graph(self) -> nn.Module:
        """Return a module from the tensors of `text_inputs`, in their order, to [A, D], L2-normalised."""

    @property
    @abstractmethod
    def tokenizer_kind(self) -> str:
        """Tell what makes `text_inputs` of texts outside of olmv: a file beside the model, or a class of open_clip."""

    # soft tokens, for `olmv.models.soft_attributes`

    @property
    @abstractmethod
    def token_embedding(self) -> nn.Module:
        """Return the module whose output, [A, L, W], the positions are added to.

        Raises:
            ModelError: the text tower is of a kind that soft tokens cannot go into.
        """

    @property
    @abstractmethod
    def token_vectors(self) -> Tensor:
        """Return what `token_embedding` gives for every word of the vocabulary, [V, W]."""

    @abstractmethod
    def soft_places(self, texts: Sequence[str], queries: int) -> tuple[Tensor, Callable[[], Tensor]]:
        """Tokenize texts so that each has `queries` places for soft tokens before its end token; it is cut to fit.

        Returns:
            The places [A, L], `queries` True in every row; and a function that runs the text tower over these tokens ->
            [A, D], not normalised.
        """
