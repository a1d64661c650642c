"""Run every benchmark and print a table of seconds and ratios."""

from benchmarks import lake, lasso

print(f"{'benchmark':26s} {'work':>14s} {'ours [s]':>9s} {'peer [s]':>9s} {'ratio':>6s}  peer")
for module in (lake, lasso):
    for result in module.measure():
        print(
            f"{result.name:26s} {result.work:>14s} {result.ours:9.4f} {result.peer:9.4f} "
            f"{result.ratio:6.2f}  {result.peer_name}"
        )
print("ratio: our time over the peer's in the same run; below 1 is faster.")
