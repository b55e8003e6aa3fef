"""Series of known processes, beside what knows the process: once with its parameters and states, once with those that
its true form finds in the same values, which is the most that anyone can ask of a forecast."""
import numpy as np

SIGMA = 1.0


def smoothed(y, alpha):
    """Level after the last of `y`, which may have further axes."""
    level = np.zeros_like(y[0])
    for value in y:
        level = level + alpha * (value - level)
    return level


def level_fitted(y, horizon, with_drift):
    """Least squares of simple smoothing, with or without a drift: first level and drift are linear in the errors once
    the weight is known, and that is searched on a grid."""
    n, best = len(y), (np.inf, None)
    for alpha in np.r_[0.001, 0.01, np.arange(0.025, 1.0, 0.025), 1.0]:
        # Errors for first level 0 and drift 0, and how each of both changes them.
        error, by_level, by_drift = np.empty(n), np.empty(n), np.empty(n)
        states = np.array([0.0, 1.0, 0.0])
        for i in range(n):
            error[i], by_level[i], by_drift[i] = y[i] - states[0], states[1], states[2]
            states = states * (1 - alpha) + [alpha * y[i], 0.0, 1.0]
        design = np.column_stack([by_level, by_drift] if with_drift else [by_level])
        found = np.linalg.lstsq(design, error, rcond=None)[0]
        loss = ((error - design @ found) ** 2).sum()
        if loss < best[0]:
            drift = found[1] if with_drift else 0.0
            level = states[0] + states[1] * found[0] + states[2] * drift
            best = loss, level + drift * np.arange(horizon)
    return best[1]


def by_ets(form, damped=False):
    def fitted(y, horizon, season):
        from statsforecast.models import AutoETS

        return AutoETS(season_length=season, model=form, damped=damped).forecast(y=y, h=horizon)["mean"]
    return fitted


def by_phase(y, horizon, season):
    means = np.array([y[phase::season].mean() for phase in range(season)])
    return means[(len(y) + np.arange(horizon)) % season]


def by_increments(y, horizon, season):
    step = np.diff(y)
    phi = (step[1:] * step[:-1]).sum() / (step[:-1] ** 2).sum()
    return y[-1] + step[-1] * np.cumsum(phi ** np.arange(1, horizon + 1))


def ets(rng, n, horizon, season, alpha, beta=0.0, phi=0.0, gamma=0.0, drift=0.0, multiplies=False):
    """A path of exponential smoothing's state space, and its mean ahead as seen after `n`."""
    level, trend, y = 100.0, drift, np.empty(n + horizon)
    profile = rng.normal(size=season) * 3.0 if season > 1 else np.zeros(1)
    if multiplies:
        profile = 1 + profile / 15
    profile = profile - profile.mean() + (1.0 if multiplies else 0.0)
    for i in range(n + horizon):
        if i == n:
            ahead = trend * np.cumsum(phi ** np.arange(horizon)) if phi else drift * np.arange(1, horizon + 1)
            seasons = profile[(n + np.arange(horizon)) % season]
            truth = level * seasons if multiplies else level + ahead + seasons
        base, error = level + trend, rng.normal() * SIGMA
        if multiplies:
            error *= 0.03
            y[i] = base * profile[i % season] * (1 + error)
            level, profile[i % season] = base * (1 + alpha * error), profile[i % season] * (1 + gamma * error)
        else:
            y[i] = base + profile[i % season] + error
            level, profile[i % season] = base + alpha * error, profile[i % season] + gamma * error
            trend = phi * (trend + beta * error) if phi else drift
    return y, truth


def fixed_season(rng, n, horizon, season):
    truth = 100 + (rng.normal(size=season) * (3.0 if season > 1 else 0.0))[np.arange(n + horizon) % season]
    return truth + rng.normal(size=n + horizon), truth[n:]


def walk(rng, n, horizon, drift, phi):
    step = np.empty(n + horizon)
    last = 0.0
    for i, noise in enumerate(rng.normal(size=n + horizon)):
        step[i] = last = phi * last + noise
    ahead = np.cumsum(step[n - 1] * phi ** np.arange(1, horizon + 1)) + drift * np.arange(1, horizon + 1)
    y = 300 + np.cumsum(step + drift)
    return y, y[n - 1] + ahead


LEVEL = (lambda rng, n, h: ets(rng, n, h, 1, rng.uniform(0.05, 0.6)), lambda y, h, s: level_fitted(y, h, False))
THETA = (lambda rng, n, h: ets(rng, n, h, 1, rng.uniform(0.1, 0.5), drift=rng.normal() * 0.1),
         lambda y, h, s: level_fitted(y, h, True))
DAMPED = (lambda rng, n, h: ets(rng, n, h, 1, rng.uniform(0.2, 0.6), rng.uniform(0.05, 0.2), 0.9),
          by_ets("AAN", True))
SEASON = (lambda rng, n, h: ets(rng, n, h, 7, rng.uniform(0.05, 0.4), gamma=rng.uniform(0.02, 0.2)), by_ets("ANA"))
TIMES = (lambda rng, n, h: ets(rng, n, h, 7, rng.uniform(0.05, 0.4), gamma=rng.uniform(0.02, 0.2), multiplies=True),
         by_ets("MNM"))
YEARS = (lambda rng, n, h: walk(rng, n, h, rng.normal() * 0.4, 0.0),
         lambda y, h, s: y[-1] + (y[-1] - y[0]) / (len(y) - 1) * np.arange(1, h + 1))
WEEKS = (lambda rng, n, h: walk(rng, n, h, 0.0, rng.uniform(-0.4, 0.6)), by_increments)
DAYS = (lambda rng, n, h: walk(rng, n, h, 0.0, 0.0), lambda y, h, s: np.full(h, y[-1]))


def fixed(season):
    return (lambda rng, n, h: fixed_season(rng, n, h, season), by_phase)


"""Name, length, horizon, season, the process and what fits its true form."""
KINDS = (
    ("ets ANN", 60, 14, 1, *LEVEL), ("ets ANN", 300, 14, 1, *LEVEL), ("theta", 60, 14, 1, *THETA),
    ("theta", 300, 14, 1, *THETA), ("ets AAdN", 60, 14, 1, *DAMPED), ("ets AAdN", 300, 14, 1, *DAMPED),
    ("ets ANA(7)", 98, 14, 7, *SEASON), ("ets ANA(7)", 365, 30, 7, *SEASON), ("ets MNM(7)", 98, 14, 7, *TIMES),
    ("ets MNM(7)", 365, 30, 7, *TIMES), ("week", 70, 14, 7, *fixed(7)), ("week", 365, 30, 7, *fixed(7)),
    ("day", 500, 48, 24, *fixed(24)), ("year of weeks", 260, 26, 52, *fixed(52)), ("none", 60, 30, 1, *fixed(1)),
    ("none", 365, 30, 1, *fixed(1)), ("years", 30, 6, 1, *YEARS), ("weeks", 100, 13, 1, *WEEKS),
    ("weeks", 900, 13, 1, *WEEKS), ("days", 100, 14, 1, *DAYS), ("days", 900, 14, 1, *DAYS),
)
