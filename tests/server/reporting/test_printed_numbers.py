"""Every number of a report is recomputed from the ledger by mpmath, and compared with what is printed.

Random ledgers go through the code of the product to the page, to the text and to the page for persons, in both
languages. Their numbers are read back, and each has to be what `exactly.py` computes, or above it where the report says
that it is rounded up. What can be shown, and what recomputes it (here, if no other module is named):

- Bounds: advantage, true positives, beliefs in presence and in a fact, so far and at the limit, in sentences, tables,
  the chart and its description, and on the page for persons: `test_a_report_prints_what_the_ledger_means`.
- Epsilon and delta in sentences; the condition on delta; sums, limits and conversions of the three rules; deltas of
  thresholds; gauges: the same. Limits of rho, the largest that convert to epsilon: `test_limits_of_rho_are_tight`.
- Losses of releases, studies and raised budgets; counts of releases, profiles, charges without a release and releases
  that could name values; days and moments; entries of the log; counts on the page for persons: `test_places.py`; the
  numbers of the methods: `test_every_kind.py`.
- Limits of a protocol (epsilon of a query, margins, hidden cells), persons at most, days, editions:
  `test_every_kind.py`.
- The same formulas by riskcal: `test_bounds_of_a_page_are_those_of_riskcal`, and `test_attack_odds.py`, which also has
  the optimal test on the worst mechanism. The JSON of the API: `test_report.py`.

Faults that were planted in the product, each of which made a test of this module fail:

- `guarantee.percent` rounds down, or to the nearest; `guarantee.shortened` rounds down.
- `attack_odds.posterior` takes 10% for every prior, or leaves delta out; `_up` rounds down.
- `attack_odds.of_replacing` leaves out its second step, or keeps delta.
- `attack_odds.by_split` forgets the Gaussian part, or the Laplace part; `by_rho` takes rho of Gaussian noise alone.
- `attack_odds._converted` forgets the delta of thresholds, or adds only the share at which it converts.
- `attack_odds.at_spend` takes the largest epsilon; a report shows the limit for what was spent; `conversion.epsilon_nano`
  converts at the whole delta, or rounds down; the page draws the curve of the other guarantee.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mpmath import mpf
from riskcal import analysis

from budgets.identity import people
from budgets.ledger.limits import Balance, Limits
from budgets.loss import Loss, Sum
from server.languages.language import LANGUAGES, language
from server.reporting import guarantee, notice, page, report, text
from tests.laws import tries
from tests.server.reporting.exactly import ATTO, NANO, Account, Charge, Pair, converted
from tests.server.reporting.printed import Above, Exactly, Percent, cells, check, numbers, section, text_of

if TYPE_CHECKING:
    from server.runtime.services import Services
    from tests.server.reporting.printed import Told
    from tests.serving import Place

PRIORS = [mpf(share) / 100 for share in (1, 10, 25, 50, 75, 90)]
WRONG = [mpf(share) / 1000 for share in (1, 10, 50)]
TENTH, HALF, HUNDREDTH = mpf(1) / 10, mpf(1) / 2, mpf(1) / 100
NANOTH, THOUSANDTH = mpf(1) / NANO, mpf(1) / 1000
WEAK = mpf("0.9")


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    """Draw an account with charges as a ledger admits them: some within no rule are left out."""
    epsilon = draw(st.integers(10**5, 12 * NANO))
    delta = draw(st.just(0) | st.integers(10**3, 10**9) | st.integers(10**9, ATTO // 1000))
    made = Account(epsilon, delta, draw(st.sampled_from([0, 30, 50, 77, 100])), ())
    limits = Limits.of(epsilon, delta, made.laplace_percent)
    for _ in range(draw(st.integers(0, 5))):
        one = draw(charges(limits))
        more = dataclasses.replace(made, charges=(*made.charges, one))
        if limits.hold(used(more)):
            made = more
    return made


def charges(limits: Limits) -> st.SearchStrategy[Charge]:
    """Return charges of both kinds of noise, up to what an account has room for."""
    keys = st.just(0) | st.integers(0, max(0, limits.delta_keys_atto // 2))
    laplace = st.builds(
        lambda epsilon, delta: Charge(epsilon, -(-(epsilon**2) // (2 * NANO)), delta),
        st.integers(10**3, limits.epsilon_nano),
        keys,
    )
    if not limits.rho_nano:
        return laplace
    return laplace | st.builds(lambda rho, delta: Charge(None, rho, delta), st.integers(1, limits.rho_nano), keys)


def used(account: Account) -> Sum:
    """Return the sum of the charges of an account, as the ledger keeps it."""
    return sum((Sum.of(Loss(one.epsilon, one.rho, one.delta)) for one in account.charges), Sum())


def described(account: Account, kind: str, name: str) -> dict[str, Any]:
    """Return an account as a report has it; half of it is still reserved, which counts as spent."""
    half = len(account.charges) // 2
    spent, reserved = (
        used(dataclasses.replace(account, charges=part)) for part in (account.charges[:half], account.charges[half:])
    )
    limits = Limits.of(account.epsilon, account.delta, account.laplace_percent)
    return guarantee.describe_account(Balance(kind, name, limits, reserved, spent))


class Documents:
    """What pages are made of, and into which accounts are put: a study's report, and the page for persons."""

    def __init__(self, study: dict[str, Any], persons: dict[str, Any]) -> None:
        self.study, self.persons = study, persons


def of(services: Services) -> Documents:
    """Return what the pages of the study flu and of its dataset are made of."""
    with services.database.read() as transaction:
        dora = people.user(transaction, "dora")
    made = report.assemble(services, dora, report.STUDY, "flu", "text")
    return Documents(made, notice.assemble(services, dora, "rand-hie"))


@pytest.fixture(scope="module")
def documents(shared: Place) -> Documents:
    """Return what a server's pages are made of."""
    return of(shared.services)


# What has to stand there


def summary(meant: Pair) -> list[Told]:
    """Return the numbers of the sentence on a guarantee."""
    if not meant.epsilon and not meant.delta:
        return []
    delta = [Exactly(meant.delta)] if meant.delta else []
    # An epsilon is rounded up to a billionth, and in a sentence to a thousandth unless it is smaller.
    step = THOUSANDTH if meant.epsilon > THOUSANDTH - NANOTH else NANOTH
    return [Above(meant.epsilon, step + 2 * NANOTH), *delta, Exactly(mpf(10)), Percent(meant.belief(TENTH))]


def criteria(meant: Pair) -> list[list[Told]]:
    """Return the numbers of the three criteria."""

    def beliefs(one: Pair) -> list[Told]:
        return [Exactly(mpf(10)), Percent(one.belief(TENTH)), Exactly(mpf(50)), Percent(one.belief(HALF))]

    picks: list[Told] = [Exactly(mpf(1)), Percent(meant.found(HUNDREDTH)), Percent(meant.advantage)]
    return [picks, beliefs(meant), beliefs(meant.replacing)]


def condition(meant: Pair) -> list[Told]:
    """Return the numbers of the condition under which a guarantee's beliefs hold."""
    if not meant.delta:
        return [Exactly(mpf(0))]
    return [Exactly(mpf(1)), Exactly(mpf(1000)), Exactly(meant.delta), Exactly(mpf(1))]


def rules(account: Account) -> list[list[Told]]:
    """Return the numbers of an account's rows: used, limit, the epsilon that it means, and its delta."""

    def pair(one: Pair | None) -> list[Told]:
        return [] if one is None else [Above(one.epsilon, 2 * NANOTH), above(one.delta)]

    limits = Limits.of(account.epsilon, account.delta, account.laplace_percent)  # see the test of these limits
    epsilon = [] if account.is_gaussian else [nano(account.laplace)]
    found = [
        [*epsilon, nano(account.epsilon), *pair(account.by_epsilon)],
        [nano(account.rho), nano(limits.rho_nano), *pair(account.by_rho)],
    ]
    if account.is_split:
        sums = [nano(account.laplace), nano(account.gaussian), nano(account.laplace_limit), nano(limits.gaussian_nano)]
        found.append([*sums, *pair(account.by_split)])
    return [*found, [above(mpf(account.keys) / ATTO), Exactly(mpf(account.delta // 2) / ATTO)]]


def above(delta: mpf) -> Above:
    """Return a delta, rounded up to five digits."""
    return Above(delta, delta / 10**4)


def nano(count: int) -> Exactly:
    """Return a number of billionths."""
    return Exactly(mpf(count) / NANO)


# What stands there


def check_page(html: str, code: str, own: Account, shared: Account) -> None:
    """Compare all numbers of a page that follow from the accounts."""
    said, spent, limit = language(code), own.spent, own.limit
    paragraphs = re.findall(r"<p><b>.*?</b> (.*?)</p>", section(html, said.say("Summary")))
    # A bound that excludes little says so, without another number.
    for told, meant in zip(paragraphs, (spent, limit, shared.spent), strict=False):
        check(numbers(text_of(told), code), summary(meant), "summary")

    bounds = [row[-1] for row in cells(section(html, said.say("The criteria of anonymity")).split("</table>")[0])][1:]
    beside: list[Told] = []
    for one, other in ((limit, spent), (limit.replacing, spent.replacing)):
        beside += [Exactly(mpf(10)), Percent(one.belief(TENTH)), Percent(other.belief(TENTH))]
    beside += [Percent(limit.advantage), Percent(spent.advantage)]
    check([number for row in bounds for number in numbers(row, code)], beside, "criteria")

    learnt = section(html, said.say("What an attacker could learn about one person"))
    answers = re.findall(r"<p><b>.*?</b> (.*?)</p>\n<p><b>.*?</b> (.*?)</p>\n</div>", learnt)
    for told_pair, due_pair in zip(answers, zip(criteria(spent), criteria(limit), strict=True), strict=True):
        for told, due in zip(told_pair, due_pair, strict=True):
            check(numbers(text_of(told), code), due, "answer")
    believed, found = (list(cells(one))[1:] for one in learnt.split("</table>")[:2])
    kinds = spent, limit, spent.replacing, limit.replacing
    for row, prior in zip(believed, PRIORS, strict=True):
        due = [Exactly(100 * prior), *(Percent(one.belief(prior)) for one in kinds)]
        check(numbers(" | ".join(row), code), due, "beliefs")
    for row, wrong in zip(found, [*WRONG, None], strict=True):
        due = [Percent(one.advantage if wrong is None else one.found(wrong)) for one in (spent, limit)]
        check(numbers(" | ".join(row), code), due if wrong is None else [Exactly(100 * wrong), *due], "test")
    note = re.findall(r'<p class="note"><b>.*?</b> (.*?) <b>.*?</b> (.*)', learnt)[0]
    for told, meant in zip(note, (spent, limit), strict=True):
        check(numbers(told, code), condition(meant), "condition")
    check_chart(learnt, code, spent, limit)

    losses = section(html, said.say("Losses against the limits"))
    rows = [row for row in cells(losses.split("<tbody>")[1].split("</tbody>")[0])]
    due_rows = [row for account in (own, shared) for row in rules(account)]
    for row, due in zip(rows, due_rows, strict=True):
        check(numbers(" | ".join(row[2:]), code), due, row[1])
    (gauges,) = re.findall(r'<desc id="gauges-desc">(.*?)</desc>', losses)
    sentences = re.split(r"\.(?: |$)", gauges)[:2]
    for sentence, account in zip(sentences, (own, shared), strict=True):
        check(numbers(sentence, code), gauge(account), "gauge")


def gauge(account: Account) -> list[Told]:
    """Return what an account used, by epsilon while it can be, and otherwise by the rule with the most room."""
    limits = Limits.of(account.epsilon, account.delta, account.laplace_percent)
    if not account.is_gaussian and account.laplace <= account.epsilon:
        return [nano(account.laplace), nano(account.epsilon)]

    def share(pair: tuple[int, int]) -> mpf:
        return mpf(0) if not pair[0] else mpf(pair[0]) / pair[1] if pair[1] else mpf("inf")

    split = max((account.laplace, limits.laplace_nano), (account.gaussian, limits.gaussian_nano), key=share)
    widest = min((account.rho, limits.rho_nano), split, key=share)
    return [nano(one) for one in widest]


def check_chart(html: str, code: str, spent: Pair, limit: Pair) -> None:
    """Compare the description of the curves, and every point of them: none is drawn below its bound."""
    (described_as,) = re.findall(r'<desc id="beliefs-desc">(.*?)</desc>', html)
    due: list[Told] = [Exactly(mpf(0)), Exactly(mpf(100))]
    for prior in PRIORS:
        due += [Exactly(100 * prior), *(Percent(one.belief(prior)) for one in (spent, limit))]
    check(numbers(described_as, code), due, "description of the curves")
    paths = [one for one in re.findall(r'<path d="M([^"]*)" fill="none"', html) if one.count("L") > 10]
    assert len(paths) == 2
    (bottom,) = re.findall(r'<path d="M46 ([\d.]+)L286 [\d.]+"[^>]* stroke-dasharray="1 3"', html)
    for path, meant in zip(paths, (spent, limit), strict=True):
        points = [tuple(map(mpf, point.split())) for point in path.split("L")]
        assert len(points) == 51
        for place, (x, y) in enumerate(points):
            prior = mpf(place) / 50
            assert abs(x - (46 + 240 * prior)) < mpf("0.051")
            drawn, bound = (mpf(bottom) - y) / 240, meant.belief(prior)
            assert bound - mpf("1e-12") <= drawn <= bound + mpf("0.11") / 240 + mpf("2e-6"), (place, drawn, bound)


def check_text(told: str, code: str, own: Account) -> None:
    """Compare all numbers of a report's text that follow from the account."""
    said = language(code)
    lines = told.splitlines()
    for head, meant in ((said.say("So far"), own.spent), (said.say("At the limit"), own.limit)):
        (start,) = [place for place, line in enumerate(lines) if line.startswith(head)]
        check(numbers(lines[start], code), summary(meant), head)
        for line, due in zip(lines[start + 1 :], [*criteria(meant), condition(meant)], strict=False):
            check(numbers(line, code), due, head)


def check_notice(document: dict[str, Any], code: str, own: Account) -> None:
    """Compare all numbers of the page for persons that follow from the account of the dataset."""
    said, limit, spent = language(code), own.limit, own.spent
    lines = dict(notice.sections(document, said))[said.say("What could be learnt of you at most")]
    ten = Exactly(mpf(10))
    due = [ten, Percent(limit.belief(TENTH)), ten, Percent(limit.replacing.belief(TENTH))]
    check(numbers(lines[0], code), due, "persons, limit")
    check(numbers(lines[1], code), [Percent(one.belief(TENTH)) for one in (spent, spent.replacing)], "persons, so far")
    if limit.delta:
        check(numbers(lines[2], code), condition(limit), "persons, condition")
    weak = said.say(
        "A limit this high excludes little by itself. It is a worst case, which only somebody who knows all but this "
        "one fact could come near."
    )
    assert (weak in lines) == (limit.advantage > WEAK)


@pytest.mark.parametrize("code", LANGUAGES)
@settings(max_examples=tries(25, audited=400), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(own=accounts(), shared_by_all=accounts())
def test_a_report_prints_what_the_ledger_means(
    documents: Documents, code: str, own: Account, shared_by_all: Account
) -> None:
    """Page, text and page for persons have the numbers that mpmath computes from the charges, on the safe side."""
    put = [described(own, "study", "flu"), described(shared_by_all, "dataset", "rand-hie")]
    document = json.loads(json.dumps({**documents.study, "accounts": put}))
    check_page(page.html(document, code), code, own, shared_by_all)
    check_text(text.text(document, code), code, own)
    account = described(own, "dataset", "rand-hie")
    check_notice({**documents.persons, **{at: account[at] for at in ("at_limit", "at_spend")}}, code, own)


@given(accounts())
def test_limits_of_rho_are_tight(account: Account) -> None:
    """A limit of rho converts to no more than its epsilon, and a billionth of rho more to more than it."""
    limits = Limits.of(account.epsilon, account.delta, account.laplace_percent)
    assert limits.laplace_nano == account.laplace_limit
    shares = (
        (limits.rho_nano, account.epsilon, account.for_conversions - account.for_split),
        (limits.gaussian_nano, account.epsilon - account.laplace_limit, account.for_split),
    )
    for rho, epsilon, share in shares:
        if not share:
            assert rho == 0
            continue
        most, delta = mpf(epsilon) / NANO, mpf(share) / ATTO
        assert converted(mpf(rho) / NANO, delta) <= most
        assert converted(mpf(rho + 1) / NANO, delta) > most - mpf("1e-12")


@settings(max_examples=50)
@given(accounts())
def test_bounds_of_a_page_are_those_of_riskcal(account: Account) -> None:
    """Advantage and true positives in JSON are riskcal's, rounded up to a millionth."""
    for meant, at in ((account.spent, "at_spend"), (account.limit, "at_limit")):
        told = described(account, "study", "flu")[at]
        epsilon, delta = float(meant.epsilon), float(meant.delta)
        theirs = analysis.get_advantage_for_epsilon_delta(epsilon, delta)
        assert -1e-9 <= told["advantage"] - theirs < 1.1e-6
        for one in told["true_positives"]:
            theirs = 1 - float(analysis.get_beta_for_epsilon_delta(epsilon, delta, one["false_positives"]))
            assert -1e-9 <= one["at_most"] - theirs < 1.1e-6
