"""How a word function is fitted: which terms count, how rare each is, a linear map of them, a trial of more terms.

Terms are counted by scikit-learn. The map is found here, for scikit-learn's L-BFGS ends where it begins on some sets of
a hundred classes, and takes several times as long on the others. Knows nothing of graphs or files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, embedding_bag, mse_loss

from fgdesign.model.lbfgs import minimise

FEW, MOST_STEPS = 50, 60
STILL, FINE = 1e-4, 1e-10  # a fall of the mean loss that ends the search: at most, and for each logit of a step
RULED_OUT = 10.0  # the logit of a class without examples, below 0
Loss = Callable[[Tensor, Tensor], Tensor]
TRIED, OF_CLASS, MOST_TRIED = 1600, 20, 3200  # rows of a trial of more terms: so many, more for each class, at most
FEWEST_TRIED, MOST_ROWS = 200, 100_000  # rows of which there is a trial
LEARNED, PAYS = 0.8, 0.85  # the share of them that is learned from, and of the loss that pays


@dataclass(frozen=True)
class Terms:
    """V terms as they were found in N texts.

    names: V. idf: (V,) float32. features: (N, V) CSR, rows of length 1. read: the same features of other texts.
    """

    names: list[str]
    idf: np.ndarray
    features: Any
    read: Callable[[Sequence[str]], Any]


def terms(texts: Sequence[str], analyse: Callable[[str], list[str]], fewest: int, most: int) -> Terms:
    """Terms in at least `fewest` texts, the `most` frequent ones; one empty column where no term is frequent enough."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectoriser = TfidfVectorizer(analyzer=analyse, min_df=1 if len(texts) < FEW else fewest, sublinear_tf=True,
                                 max_features=most, dtype=np.float32)
    try:
        features = vectoriser.fit_transform(texts)
    except ValueError:
        def nothing(some: Sequence[str]) -> Any:
            return csr_matrix((len(some), 1), dtype=np.float32)

        return Terms([], np.zeros(0, np.float32), nothing(texts), nothing)
    names, idf = list(vectoriser.get_feature_names_out()), vectoriser.idf_.astype(np.float32)
    return Terms(names, idf, features, vectoriser.transform)


def pays(texts: Sequence[str], targets: np.ndarray, classes: int, kind: str, strength: float,
         plain: Callable[[Sequence[str]], Terms], more: Callable[[Sequence[str]], Terms]) -> bool:
    """Whether more terms answer rows held out clearly better: some of the rows, the same each time.

    Not of very few rows, where it is luck, nor of very many, where words have been seen often enough.
    """
    if not FEWEST_TRIED <= len(texts) <= MOST_ROWS:
        return False
    rows = np.random.default_rng(0).permutation(len(texts))[:min(MOST_TRIED, TRIED + OF_CLASS * classes)]
    learn, look = np.split(rows, [round(LEARNED * len(rows))])
    losses = []
    for count in (plain, more):
        found = count([texts[row] for row in learn])
        weight, bias = solve(found.features, targets[learn], classes, kind, strength)
        given = torch.from_numpy(found.read([texts[row] for row in look]) @ weight.numpy()) + bias
        losses.append(_loss_of(given, targets[look], kind))
    return losses[1] < PAYS * losses[0]


def _loss_of(given: Tensor, targets: np.ndarray, kind: str) -> float:
    true = torch.from_numpy(targets)
    if kind == "single":
        return float(cross_entropy(given, true))
    return float(_binary(given, true.float()) if kind == "multi" else mse_loss(given[:, 0], true.float()))


@torch.inference_mode(False)
@torch.enable_grad()
def solve(features: Any, targets: np.ndarray, classes: int, kind: str, strength: float) -> tuple[Tensor, Tensor]:
    """The linear map of (N, V) sparse features whose loss is least: logistic, one for each of several labels, or ridge.

    Args: targets: (N,) int64, (N, C) of zeros and ones, or (N,) float. strength: C, the inverse of the L2 penalty.
    Returns: weight (V, C) and bias (C,).
    """
    if kind == "regression":
        from sklearn.linear_model import Ridge

        ridge = Ridge(alpha=1 / strength).fit(features, targets)
        return torch.from_numpy(ridge.coef_).float().reshape(-1, 1), torch.tensor([ridge.intercept_]).float()
    loss: Loss = _binary
    true, bend = torch.from_numpy(targets), 0.25
    weight, bias = torch.zeros(features.shape[1], classes), torch.full((classes,), -RULED_OUT)
    if kind == "multi":
        often = true.float().mean(0)
        bias[often == 1] = RULED_OUT
        learned = ((often > 0) & (often < 1)).nonzero().squeeze(1)
        true = true[:, learned].float()
    else:
        learned, true = torch.unique(true, return_inverse=True)
        bias[learned[0]] = RULED_OUT if len(learned) == 1 else 0.0
        if len(learned) > 2:
            loss, bend = cross_entropy, (len(learned) - 1) / len(learned) ** 2
        else:  # one map parts two classes
            learned, true = learned[1:], true.float().unsqueeze(1)
    if len(learned):
        weight[:, learned], bias[learned] = _least(features, true, len(learned), bend, strength, loss)
    return weight, bias


def _binary(given: Tensor, true: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(given, true) * true.shape[1]


def _least(features: Any, true: Tensor, outputs: int, bend: float, strength: float,
           loss: Loss) -> tuple[Tensor, Tensor]:
    """By L-BFGS. bend: how much the loss of a row curves; terms are stretched by how much the whole does."""
    rows: int = features.shape[0]
    penalty = 1 / (strength * rows)
    curved = bend * torch.from_numpy(np.asarray(features.multiply(features).sum(0), np.float32).ravel() / rows)
    stretch, lift = (curved + penalty).rsqrt().unsqueeze(1), bend ** -0.5
    table, turned = Table.of(features), Table.of(features.T.tocsr())
    weight = torch.zeros(features.shape[1], outputs, requires_grad=True)
    bias = torch.zeros(outputs, requires_grad=True)
    product: Any = _Product

    def total() -> Tensor:
        plain = weight * stretch
        given: Tensor = product.apply(plain, table, turned) + bias * lift
        return loss(given, true) + 0.5 * penalty * plain.square().sum()

    minimise(total, [weight, bias], MOST_STEPS, min(STILL, FINE * rows * outputs))
    return (weight * stretch).detach(), (bias * lift).detach()


@dataclass(frozen=True)
class Table:
    """A sparse (N, V) table: of each row its columns, one after the other, where it starts, and its values."""

    columns: Tensor
    starts: Tensor
    values: Tensor

    @staticmethod
    def of(matrix: Any) -> Table:
        """From a SciPy CSR matrix."""
        whole = np.int32 if matrix.nnz < 2 ** 31 else np.int64
        columns, starts = (torch.from_numpy(part.astype(whole)) for part in (matrix.indices, matrix.indptr[:-1]))
        return Table(columns, starts, torch.from_numpy(matrix.data.astype(np.float32)))

    def times(self, dense: Tensor) -> Tensor:
        """(N, C) of a (V, C) matrix, on all threads."""
        return embedding_bag(self.columns, dense, self.starts, mode="sum", per_sample_weights=self.values)


class _Product(torch.autograd.Function):
    """A table times a (V, C) matrix; its gradient is the turned table's product."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, table: Table, turned: Table) -> Tensor:
        ctx.turned = turned
        return table.times(dense)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.turned.times(gradients[0].contiguous()), None, None
