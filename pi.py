import traceback


def t(name, f):
    try:
        print(name, f())
    except Exception as e:
        print(name, "FAIL", type(e).__name__, str(e)[:300])


def a():
    from trl.kernels import ChunkedLogProbFunction

    return ChunkedLogProbFunction


def b():
    from trl.kernels import selective_log_softmax_and_entropy as s

    return s


def c():
    from liger_kernel.ops.fused_linear_scaled_cross_entropy import (
        LigerFusedLinearScaledCrossEntropyFunction as s,
    )

    return s


def c2():
    import liger_kernel.ops.fused_linear_scaled_cross_entropy as m

    return [n for n in dir(m) if n[0] != "_"]


def d():
    from liger_kernel.chunked_loss.grpo_loss import LigerFusedLinearGRPOLoss as s

    return s


def e():
    from verl.utils.kernel.linear_cross_entropy import linear_cross_entropy as s

    return s


def f():
    from cut_cross_entropy import linear_cross_entropy as s

    return s


def g():
    import datasets

    return datasets


for n, x in dict(trl=a, trl2=b, liger=c, liger_dir=c2, grpo=d, verl=e, cce=f, ds=g).items():
    t(n, x)
