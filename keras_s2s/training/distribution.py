"""Training on several devices of a machine, or on several machines, under plain `fit`.

Every replica takes its share of the rows of one global batch and has a copy of the weights. Gradients are summed over
replicas before they are clipped and applied, so that all copies stay equal, and equal to those of one device that
trains on whole batches.
"""

import contextlib
import functools
import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import ops

from keras_s2s.data.shares import WHOLE, Share
from keras_s2s.errors import UserError
from keras_s2s.typing import Tensor

Devices = Literal["one", "mirrored", "workers"]

_EXAMPLE = '{"cluster": {"worker": ["host-a:2222", "host-b:2222"]}, "task": {"type": "worker", "index": 0}}'


def strategy(devices: Devices) -> tf.distribute.Strategy | None:
    """Makes the strategy of a run, once a process and before anything else of TensorFlow runs in it.

    Args:
        devices: "one" device, all devices of this machine ("mirrored"), or all devices of the machines that the
            environment variable TF_CONFIG names ("workers"); this waits until all of them have started.

    Returns:
        None for one device.

    Raises:
        UserError: TF_CONFIG is missing or wrong, or `keras.distribution` is set.
    """
    if keras.distribution.distribution() is not None:
        raise UserError(
            "training: devices: keras.distribution replicates nothing on TensorFlow;"
            " unset it and take devices: mirrored, or workers"
        )
    if devices == "one":
        return None
    if devices == "mirrored":
        if "TF_CONFIG" in os.environ:  # TensorFlow would read it.
            raise UserError(
                "training: devices: mirrored is one machine, but TF_CONFIG is set; unset it, or say workers"
            )
        return tf.distribute.MirroredStrategy()
    _check_cluster(os.environ.get("TF_CONFIG", ""))
    return tf.distribute.MultiWorkerMirroredStrategy()


def scope(strategy: tf.distribute.Strategy | None) -> contextlib.AbstractContextManager:
    """Where the model is built, so that its weights are copied."""
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def is_chief(strategy: tf.distribute.Strategy | None) -> bool:
    """Whether this process is the one of all that writes: checkpoints, logs and reports."""
    if strategy is None or _workers(strategy) == 1:
        return True
    resolver = strategy.cluster_resolver
    return resolver.task_type == _first_job(resolver.cluster_spec().as_dict()) and resolver.task_id == 0


def share(
    dataset_of: Callable[[Sequence[Share]], tf.data.Dataset], strategy: tf.distribute.Strategy | None
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Splits each batch by rows among all replicas, see `Share`.

    Every process makes the shares of its own replicas, of the same batches, so all take the same number of steps. All
    tensors have the padding of the whole batch; nothing needs that, since only gradients and sums pass between
    replicas, but it keeps the number of different shapes low.

    Args:
        dataset_of: makes the dataset of some shares of each batch, one after the other, such as `Batches.dataset`.
        strategy: of the run.

    Raises:
        UserError: the processes begin with different batches.
    """
    if strategy is None:
        return dataset_of([WHOLE])
    _check_same(strategy, dataset_of([WHOLE]))
    replicas = strategy.num_replicas_in_sync

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        mine = replicas // context.num_input_pipelines
        first = mine * context.input_pipeline_id
        return dataset_of([Share(place, replicas) for place in range(first, first + mine)])

    return strategy.distribute_datasets_from_function(of_worker)


def compile_for(strategy: tf.distribute.Strategy | None, model: keras.Model, batch_spec: Any, **arguments: Any) -> None:
    """`model.compile(**arguments)` for a model that was built, with its optimiser, in the strategy's scope.

    Losses become the mean over the tokens of all replicas, in value and in gradient, whatever each one's share is.

    Args:
        strategy: of the run.
        model: what to compile.
        batch_spec: `element_spec` of the dataset of whole batches.
        arguments: of `compile`; losses have the reduction `mean_with_sample_weight`, alone or by name.

    Raises:
        UserError: the strategy cannot do what the arguments say.
    """
    if strategy is None:
        model.compile(**arguments)
        return
    _check_arguments(model, **arguments)
    loss = arguments.pop("loss")
    with strategy.scope():
        model.compile(loss=keras.tree.map_structure(OverReplicas, loss), **arguments)
        model.optimizer.build(model.trainable_variables)
    _clip_the_sum(model.optimizer)
    _draw_apart(model)
    _build_from(batch_spec, strategy, model)
    _give_logs_an_axis(strategy, model)


def of_chief(strategy: tf.distribute.Strategy | None, values: Sequence[float]) -> list[float]:
    """The chief's values in all processes, so that they decide alike, such as when to stop; all must call this."""
    return list(values) if strategy is None else _of_all(strategy, values)[0]


def follow_chief(strategy: tf.distribute.Strategy | None, model: keras.Model) -> None:
    """Gives all processes the chief's weights, random generators and optimiser state; all must call this.

    So only the chief needs to read a checkpoint, and machines need no common disk.
    """
    if strategy is None or _workers(strategy) == 1:
        return
    variables = [*model.variables, *model.optimizer.variables]

    def chiefs() -> list[tf.Tensor]:
        context = tf.distribute.get_replica_context()
        chief = context.replica_id_in_sync_group == 0
        # Every type of a variable is exact in float64, and every strategy can sum that.
        values = [tf.cast(variable.value, tf.float64) for variable in variables]
        return [_sum(context, tf.where(chief, value, tf.zeros_like(value))) for value in values]

    found = tf.function(lambda: strategy.run(chiefs))()
    for variable, value in zip(variables, found, strict=True):
        local = strategy.experimental_local_results(value)[0]
        variable.assign(tf.cast(local, variable.dtype))


@contextlib.contextmanager
def lost_workers() -> Iterator[None]:
    """Around `fit`: says in one line that another process of the cluster has died.

    TensorFlow notices a process that ends within seconds, and asks every 30 seconds whether each machine still answers,
    three times with 10 seconds to do so.

    Raises:
        UserError: one has.
    """
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError) as error:
        raise UserError(
            "training: another worker died or cannot be reached any more; start all of them again,"
            " and the run goes on from its last checkpoint"
        ) from error


@keras.saving.register_keras_serializable("keras_s2s")
class OverReplicas(keras.losses.Loss):
    """A loss as the mean over real tokens of all replicas.

    Keras divides each replica's mean by the number of replicas, which is right only where all have the same number of
    tokens. On every replica the value is that of the whole batch, and the gradient that of the replica's own share.

    Args:
        loss: with reduction `mean_with_sample_weight`.
    """

    def __init__(self, loss: keras.losses.Loss, name: str | None = None) -> None:
        self.loss = keras.losses.get(loss)
        super().__init__(name=name or self.loss.name, reduction="mean_with_sample_weight")

    def __call__(self, labels: Tensor, outputs: Tensor, sample_weight: Tensor) -> Tensor:
        """Labels, outputs and weights (B, T) of a replica -> a scalar, divided by the number of replicas."""
        value = self.loss(labels, outputs, sample_weight)
        context = tf.distribute.get_replica_context()
        if context is None:  # Keras looks for shapes.
            return value
        # Keras has divided by the number of replicas already.
        tokens = ops.cast(ops.sum(ops.cast(sample_weight, "float32")), value.dtype)
        share = ops.divide_no_nan(value * context.num_replicas_in_sync * tokens, _sum(context, tokens))
        whole = _sum(context, ops.stop_gradient(share)) / context.num_replicas_in_sync
        return share + ops.stop_gradient(whole - share)

    def get_config(self) -> dict[str, Any]:
        """The loss and its name."""
        return {"loss": keras.losses.serialize(self.loss), "name": self.name}


def _sum(context: tf.distribute.ReplicaContext, value: Tensor) -> Tensor:
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def _check_same(strategy: tf.distribute.Strategy, dataset: tf.data.Dataset) -> None:
    """Another corpus, tokenizer, seed or version shows in the first batch, which is drawn from the whole corpus."""
    if _workers(strategy) == 1:
        return
    first = tf.nest.flatten(next(iter(dataset)))
    found = _of_all(strategy, [zlib.crc32(b"".join(values.numpy().tobytes() for values in first))])
    for replica, fingerprint in enumerate(found):
        if fingerprint != found[0]:
            raise UserError(
                f"training: the chief's batches and those of replica {replica} differ;"
                " give all machines the same data, recipe and version"
            )


def _of_all(strategy: tf.distribute.Strategy, values: Sequence[float]) -> list[list[float]]:
    """The values of each replica, the chief's first."""
    found = _gather(strategy)(tf.constant([values], tf.float64))
    return strategy.experimental_local_results(found)[0].numpy().tolist()


@functools.cache
def _gather(strategy: tf.distribute.Strategy) -> Any:
    """Makes a function of (1, N) to (replicas, N), which is traced once."""

    def gather(values: tf.Tensor) -> tf.Tensor:
        # The identity is on the replica's device, which `all_gather` wants to know.
        return tf.distribute.get_replica_context().all_gather(tf.identity(values), axis=0)

    signature = [tf.TensorSpec((1, None), tf.float64)]
    return tf.function(lambda values: strategy.run(gather, args=(values,)), input_signature=signature)


def _workers(strategy: tf.distribute.Strategy) -> int:
    """Processes that train together."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    return sum(map(len, strategy.cluster_resolver.cluster_spec().as_dict().values()))


def _first_job(cluster: Any) -> str:
    return "chief" if "chief" in cluster else "worker"


def _check_cluster(text: str) -> None:
    """TF_CONFIG names the workers and which of them this process is; TensorFlow says little, and late, if not."""
    if not text:
        raise UserError(f"training: devices: workers needs the environment variable TF_CONFIG, such as {_EXAMPLE}")
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"TF_CONFIG: not JSON ({error}); it should look like {_EXAMPLE}") from None
    cluster, task = _part(config, "cluster"), _part(config, "task")
    if not cluster or not set(cluster) <= {"chief", "worker"}:
        raise UserError(f"TF_CONFIG: cluster: has the jobs {', '.join(cluster) or 'none'}; only chief and worker train")
    for job, addresses in cluster.items():
        if not isinstance(addresses, list) or not addresses or not all(map(_is_address, addresses)):
            raise UserError(f"TF_CONFIG: cluster.{job}: should be a list of HOST:PORT, got {json.dumps(addresses)}")
    everybody = [address for addresses in cluster.values() for address in addresses]
    if twice := [address for address in everybody if everybody.count(address) > 1]:
        raise UserError(f"TF_CONFIG: cluster: {twice[0]} stands there twice; each process needs an address of its own")
    if task.get("type") not in cluster:
        raise UserError(f"TF_CONFIG: task.type: should be {' or '.join(cluster)}, got {json.dumps(task.get('type'))}")
    last = len(cluster[task["type"]]) - 1
    if task.get("index") not in range(last + 1):
        raise UserError(f"TF_CONFIG: task.index: should be 0 to {last}, got {json.dumps(task.get('index'))}")


def _part(config: Any, name: str) -> dict[str, Any]:
    part = config.get(name) if isinstance(config, dict) else None
    if not isinstance(part, dict):
        raise UserError(f"TF_CONFIG: {name} is missing; it should look like {_EXAMPLE}")
    return part


def _is_address(text: Any) -> bool:
    host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


def _check_arguments(model: keras.Model, optimizer: Any, jit_compile: Any = "auto", **_: Any) -> None:
    if optimizer.gradient_accumulation_steps:
        raise UserError(
            "training: accumulation: Keras cannot accumulate gradients on several devices;"
            " leave it out and give more tokens a batch"
        )
    if jit_compile is True:
        raise UserError("training: jit: XLA does not compile a step of several devices; leave it out")
    # Of a model in float16 Keras makes the optimiser one that scales the loss, and looks for overflow in each replica.
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or model.dtype_policy.compute_dtype == "float16":
        raise UserError("training: precision: float16 does not train on several devices; take bfloat16")


# What Keras 3.15 lacks. tests/training/test_distribution.py says when a newer one does not need it any more.


def _clip_the_sum(optimizer: Any) -> None:
    """Gradients are summed over replicas, then clipped. Keras clips each replica's own and sums afterwards."""
    clip = optimizer._clip_gradients

    def clip_sum(gradients: list[Tensor]) -> list[Tensor]:
        return clip(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, list(gradients)))

    optimizer._clip_gradients = clip_sum
    optimizer._all_reduce_sum_gradients = list


def _draw_apart(model: keras.Model) -> None:
    """Dropout of each replica draws numbers of its own. Keras gives all replicas the same ones."""
    for layer in model._flatten_layers():
        for generator in layer._seed_generators:
            _spread_seeds(generator)


def _spread_seeds(generator: keras.random.SeedGenerator) -> None:
    draw = generator.next

    def next_of_replica(*arguments: Any, **options: Any) -> Tensor:
        seed, context = draw(*arguments, **options), tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        return seed + tf.cast([replica, 0], seed.dtype) * 7919

    generator.next = next_of_replica


def _build_from(batch_spec: Any, strategy: tf.distribute.Strategy, model: keras.Model) -> None:
    """Keras issue 20585: to learn the types of a batch, `fit` takes the mean of what replicas have of the first one.

    Their shapes differ, and of a dict on several machines it cannot take one at all.
    """

    def build(iterator: Any = None, data_batch: Any = None) -> None:
        with strategy.scope():
            model._symbolic_build(data_batch=batch_spec)

    model._maybe_symbolic_build = build


def _give_logs_an_axis(strategy: tf.distribute.Strategy, model: keras.Model) -> None:
    """Keras issue 20585: with several workers `fit` takes the mean of logs over axis 0, and they are scalars."""
    if _workers(strategy) > 1:
        step = model.train_step
        model.train_step = lambda data: keras.tree.map_structure(lambda log: tf.reshape(log, (1,)), step(data))
