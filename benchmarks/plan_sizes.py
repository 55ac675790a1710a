"""How large the GPTs are that `plan.py` plans."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Size:
    """How large a GPT is, and what it is trained on."""

    width: int
    heads: int
    layers: int
    words: int
    length: int
    """Tokens of an example."""
    batch: int
    """Examples of a batch, over all devices."""

    @property
    def tokens(self) -> int:
        return self.batch * self.length

    @property
    def multiplied(self) -> int:
        """Return how many parameters a token is multiplied with: those of the blocks and of the head."""
        return self.layers * 12 * self.width**2 + self.width * self.words

    @property
    def flops(self) -> float:
        """Return the floating point operations of a step: forward and backward, and nothing twice.

        Six for each parameter and token, and those of the attention's two products, of which both have the whole
        square of positions.
        """
        return self.tokens * (6.0 * self.multiplied + 12.0 * self.layers * self.width * self.length)


SIZES = {
    "gpt-tiny": Size(width=128, heads=4, layers=3, words=256, length=32, batch=64),
    "gpt-84m": Size(width=1024, heads=16, layers=4, words=16_384, length=256, batch=256),
    "gpt-7b": Size(width=4096, heads=32, layers=32, words=32_768, length=1024, batch=1024),
}
