//! The model: what can happen next, to the ledger, two executors, the cluster, and the calls between them.

use std::collections::{BTreeMap, BTreeSet};

use k3s_daas::contract::{Bound, Code};
use k3s_daas::token::NotAuthorized;
use stateright::{Model, Property};

use super::ledger::{Answer, Book, Claim, Ledger, Signed, TICK_MS};
use super::node::{Held, Life, Node, Past, Phase, Task};
use super::{Faults, Mutant, Rule, Setting};

/// Everything at a moment.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct Machine {
    now: u64,
    ledger: Book,
    nodes: Vec<Node>,
    /// Who was ever assigned each request, by epoch.
    assigned: Vec<Vec<Assignment>>,
    /// Requests between an executor and the cluster.
    flying: BTreeMap<(usize, usize), u8>,
    /// How often the cluster carried out each write.
    carried_out: Vec<u8>,
    /// How many answers of each request the ledger accepted.
    accepted: Vec<u8>,
    /// Signed calls that left an executor: whoever has one may bring it to the ledger at any time.
    left: BTreeSet<Signed>,
    faults: Faults,
    broken: BTreeSet<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Assignment {
    node: usize,
    lease_ends_ms: u64,
    is_claimed: bool,
}

/// What to do with a request that is assigned here and has no answer.
#[derive(Clone, Copy, Debug)]
enum Decision {
    Wait,
    Deliver(Answer),
    /// Again, since nobody knows what became of it.
    GiveBack,
    Refuse,
    Begin(u64),
}

/// One thing that happens. The numbers are a node and a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Time passes.
    Tick,
    /// A node follows the ledger to its end.
    Follow(usize),
    /// A node does the next step of a request.
    Work(usize, usize),
    /// The same, but the call that the step makes is on its way for as long as it likes.
    Late(usize, usize),
    /// The next step fails: a body is not there, the cluster cannot be reached.
    Fail(usize, usize),
    /// Both.
    FailLate(usize, usize),
    /// What was sent reaches the cluster, and the reply its executor.
    Arrive(usize, usize),
    /// What was sent reaches the cluster, and the connection breaks.
    Break(usize, usize),
    /// What was sent is lost.
    Vanish(usize, usize),
    /// Anybody brings a signed call to the ledger.
    Replay(Signed),
    /// A node is killed.
    Crash(usize),
    /// A node ends, and gives back what it did not begin.
    Stop(usize, bool),
    /// A node runs again.
    Start(usize),
    /// A node that is down never comes back.
    Die(usize),
    /// A node that is down loses its journal and is given a new one.
    Lose(usize),
}

impl Model for Setting {
    type State = Machine;
    type Action = Action;

    fn init_states(&self) -> Vec<Machine> {
        let requests = self.is_read.len();
        let genesis = &self.ledger.genesis;
        let mut machine = Machine {
            now: 0,
            ledger: genesis.clone(),
            nodes: vec![Node::new(genesis.clone(), requests); 2],
            assigned: vec![Vec::new(); requests],
            flying: BTreeMap::new(),
            carried_out: vec![0; requests],
            accepted: vec![0; requests],
            left: BTreeSet::new(),
            faults: self.faults,
            broken: BTreeSet::new(),
        };
        for request in 0..requests {
            machine.note_assignment(self, request, false);
        }
        vec![machine]
    }

    fn actions(&self, machine: &Machine, actions: &mut Vec<Action>) {
        self.steps(machine, actions);
        let faults = machine.faults;
        for (n, node) in machine.nodes.iter().enumerate() {
            let (is_up, is_down) = (node.life == Life::Up, node.life == Life::Down);
            for (r, task) in node.tasks.iter().enumerate() {
                if is_up && faults.late > 0 && *task == Task::Idle {
                    actions.push(Action::Late(n, r));
                }
                if faults.failures > 0 && matches!(task, Task::Looked(_) | Task::Begun(..)) {
                    actions.push(Action::Fail(n, r));
                    if faults.late > 0 {
                        actions.push(Action::FailLate(n, r));
                    }
                }
                if faults.failures > 0 && matches!(task, Task::Sent(_)) {
                    actions.push(Action::Break(n, r));
                    actions.push(Action::Vanish(n, r));
                }
            }
            if is_up && faults.crashes > 0 {
                actions.push(Action::Crash(n));
                if node.tasks.iter().all(|task| *task == Task::Idle) {
                    actions.push(Action::Stop(n, false));
                    if faults.late > 0 {
                        actions.push(Action::Stop(n, true));
                    }
                }
            }
            if is_down && faults.deaths > 0 {
                actions.push(Action::Die(n));
            }
            if is_down && faults.losses > 0 {
                actions.push(Action::Lose(n));
            }
        }
        let now_ms = Ledger::moment(machine.now);
        let accepted =
            |signed: &&Signed| self.ledger.judge(&machine.ledger, now_ms, **signed).is_ok();
        actions.extend(
            machine
                .left
                .iter()
                .filter(accepted)
                .copied()
                .map(Action::Replay),
        );
    }

    fn next_state(&self, last: &Machine, action: Action) -> Option<Machine> {
        let mut next = last.clone();
        next.happen(self, action)?;
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        Rule::properties()
    }
}

impl Setting {
    /// What goes on by itself, without anybody's fault.
    fn steps(&self, machine: &Machine, actions: &mut Vec<Action>) {
        if machine.now < self.end {
            actions.push(Action::Tick);
        }
        for (n, node) in machine.nodes.iter().enumerate() {
            match node.life {
                Life::Up => {
                    if node.view != machine.ledger {
                        actions.push(Action::Follow(n));
                    }
                    actions.extend((0..self.is_read.len()).map(|r| Action::Work(n, r)));
                }
                Life::Down => actions.push(Action::Start(n)),
                Life::Dead => {}
            }
        }
        actions.extend(machine.flying.keys().map(|(n, r)| Action::Arrive(*n, *r)));
    }

    /// Whether nothing goes on any more unless something fails.
    fn is_quiet(&self, machine: &Machine) -> bool {
        if machine.now < self.end {
            return false;
        }
        let mut actions = Vec::new();
        self.steps(machine, &mut actions);
        let mut actions = actions.into_iter();
        actions.all(|action| self.next_state(machine, action).is_none())
    }

    /// Whether a moment has come by every clock.
    fn is_over(&self, now: u64, moment_ms: u64) -> bool {
        let slowest = self.skew.iter().min().copied().unwrap_or_default();
        let slowest_ms = slowest * i64::try_from(TICK_MS).unwrap();
        Ledger::moment(now).strict_add_signed(slowest_ms) >= moment_ms
    }

    fn is_mutant(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// The ledger's time as a node has it.
    fn local_ms(&self, machine: &Machine, n: usize) -> u64 {
        let skew_ms = self.skew[n] * i64::try_from(TICK_MS).unwrap();
        Ledger::moment(machine.now).strict_add_signed(skew_ms)
    }

    /// The latest that it may be.
    fn latest_ms(&self, machine: &Machine, n: usize) -> u64 {
        let tolerance_ms = if self.is_mutant(Mutant::NoTolerance) {
            0
        } else {
            TICK_MS
        };
        self.local_ms(machine, n) + tolerance_ms
    }
}

impl Machine {
    /// How many answers were accepted, writes carried out, rules broken.
    pub(super) fn breaks(&self, setting: &Setting, rule: Rule) -> bool {
        match rule {
            Rule::OneAnswer => self.accepted.iter().any(|count| *count > 1),
            Rule::OneExecution => self.carried_out.iter().any(|count| *count > 1),
            Rule::NoEquivocation => self.equivocates(setting),
            Rule::Progress => self.is_stuck(setting),
            _ => self.broken.contains(&rule),
        }
    }

    /// Whether every request has the answer that the cluster gave.
    pub(super) fn is_answered(&self, setting: &Setting) -> bool {
        (0..setting.is_read.len()).all(|r| {
            let record = setting.ledger.request(&self.ledger, r).record();
            record.is_some_and(|record| record.status_code == OK)
        })
    }

    fn equivocates(&self, setting: &Setting) -> bool {
        // A write whose journal is lost is answered "unknown" at once; what was signed before is not known any more.
        let is_held = |request: usize| setting.is_read[request] || setting.faults.losses == 0;
        let answers = self.left.iter().filter_map(|signed| match signed {
            Signed::Answer(answer) if is_held(answer.request) => {
                Some((answer.node, answer.request, answer.epoch))
            }
            _ => None,
        });
        let mut seen = BTreeSet::new();
        answers.into_iter().any(|of| !seen.insert(of))
    }

    /// Whether a request waits for ever although an executor lives that could end it.
    fn is_stuck(&self, setting: &Setting) -> bool {
        setting.is_whole
            && setting.is_quiet(self)
            && (0..setting.is_read.len()).any(|r| {
                let held = setting.ledger.request(&self.ledger, r);
                let assigned = setting.ledger.node(held.executor);
                // What nobody can claim any more has expired with its executor.
                let is_claimable = !held.is_read && held.claims < Bound::CLAIMS;
                let has_expired = self.nodes[assigned].life == Life::Dead && !is_claimable;
                // What was claimed near the end of the model's time would be judged before its lease is over.
                let is_over = setting.is_over(self.now, held.lease_ends_ms);
                held.outcome.is_none() && !has_expired && is_over
            })
    }

    fn happen(&mut self, setting: &Setting, action: Action) -> Option<()> {
        match action {
            Action::Tick => self.now += 1,
            Action::Follow(n) => self.nodes[n].view = self.ledger.clone(),
            Action::Work(n, r) => self.work(setting, n, r, false)?,
            Action::Late(n, r) => {
                self.faults.late -= 1;
                self.work(setting, n, r, true)?;
            }
            Action::Fail(n, r) => self.fail(setting, n, r, false)?,
            Action::FailLate(n, r) => {
                self.faults.late -= 1;
                self.fail(setting, n, r, true)?;
            }
            Action::Arrive(n, r) => {
                self.land(setting, n, r)?;
                self.reply(setting, n, r, OK);
            }
            Action::Break(n, r) => {
                self.faults.failures -= 1;
                self.land(setting, n, r)?;
                self.reply(setting, n, r, UNKNOWN);
            }
            Action::Vanish(n, r) => {
                self.faults.failures -= 1;
                self.take_off(n, r)?;
                self.reply(setting, n, r, UNKNOWN);
            }
            Action::Replay(signed) => self.submit(setting, signed).ok()?,
            Action::Crash(n) => self.end(setting, n)?,
            Action::Stop(n, is_late) => self.stop(setting, n, is_late)?,
            Action::Start(n) => self.start(n),
            Action::Die(n) => {
                let others = self.nodes.iter().filter(|node| node.life != Life::Dead);
                if others.count() < 2 || self.nodes[n].life != Life::Down {
                    return None;
                }
                self.faults.deaths -= 1;
                self.nodes[n].life = Life::Dead;
            }
            Action::Lose(n) => {
                if self.nodes[n].life != Life::Down {
                    return None;
                }
                self.faults.losses -= 1;
                self.lose(setting, n);
            }
        }
        Some(())
    }

    // What an executor does: `worker.rs` from `handle` on, `duties.rs` for claims.

    fn work(&mut self, setting: &Setting, n: usize, r: usize, is_late: bool) -> Option<()> {
        let node = &self.nodes[n];
        if node.life != Life::Up {
            return None;
        }
        let (local_ms, latest_ms) = (setting.local_ms(self, n), setting.latest_ms(self, n));
        let deadline_ms = Ledger::moment(setting.ledger.deadline);
        let task = node.tasks[r].clone();
        let makes_a_call = matches!(task, Task::Idle);
        if is_late && !makes_a_call {
            return None;
        }
        let next = match task {
            Task::Idle => return self.look(setting, n, r, is_late),
            Task::Looked(held) => match self.decide(setting, n, r, held) {
                Decision::Wait => Task::Idle,
                Decision::Deliver(answer) => Task::Delivering(answer),
                Decision::GiveBack => {
                    self.release(setting, n, r, held.epoch, false);
                    Task::Idle
                }
                Decision::Refuse => self.answer(setting, n, r, held, UNKNOWN),
                Decision::Begin(epoch) => self.begin(setting, n, r, held, epoch),
            },
            Task::Begun(held, epoch) => {
                let is_over = latest_ms >= held.lease_ends_ms;
                let is_checked = !held.is_claimed && !setting.is_mutant(Mutant::LeaseUnchecked);
                if is_over && is_checked {
                    self.nodes[n].not_sent(r, epoch);
                    Task::Idle
                } else {
                    self.send(setting, n, r, epoch);
                    Task::Sent(held)
                }
            }
            Task::Sent(held) if local_ms >= deadline_ms => {
                self.answer(setting, n, r, held, UNKNOWN)
            }
            Task::Sent(_) => return None,
            Task::Delivering(answer) => {
                let delivered = self.submit(setting, Signed::Answer(answer));
                let node = &mut self.nodes[n];
                if delivered.is_err() {
                    node.ignored[r] = Some(answer.epoch);
                }
                node.over(answer);
                Task::Idle
            }
        };
        self.nodes[n].tasks[r] = next;
        Some(())
    }

    /// What is in nobody's hands here: taken up if it is this executor's, claimed if it may be.
    fn look(&mut self, setting: &Setting, n: usize, r: usize, is_late: bool) -> Option<()> {
        let local_ms = setting.local_ms(self, n);
        let node = &self.nodes[n];
        let request = setting.ledger.request(&node.view, r);
        if request.outcome.is_some() || node.is_ignored(r, request.epoch) {
            return None;
        }
        let is_mine = setting.ledger.node(request.executor) == n;
        let is_over = local_ms >= request.lease_ends_ms;
        let has_deadline = local_ms < request.deadline_ms;
        let is_to_end = is_mine && (!is_over || !request.is_read || !has_deadline);
        if is_to_end || setting.is_mutant(Mutant::AnyAssignment) {
            if is_late {
                return None;
            }
            let held = Held {
                epoch: request.epoch,
                lease_ends_ms: request.lease_ends_ms,
                is_claimed: request.is_claimed_write(),
            };
            self.nodes[n].tasks[r] = Task::Looked(held);
            return Some(());
        }
        let is_claimable = is_over
            && request.claims < Bound::CLAIMS
            && (!request.is_read || has_deadline)
            && !setting.is_mutant(Mutant::NobodyClaims);
        if !is_claimable {
            return None;
        }
        let claim = Signed::Claim(Claim {
            node: n,
            request: r,
            epoch: request.epoch + 1,
        });
        self.left.insert(claim);
        if !is_late {
            // A refusal leaves it to the next look.
            let _ = self.submit(setting, claim);
        }
        Some(())
    }

    fn decide(&self, setting: &Setting, n: usize, r: usize, held: Held) -> Decision {
        let node = &self.nodes[n];
        if let Some(answer) = node.signed(r, held.epoch) {
            return Decision::Deliver(answer);
        }
        match node.phase(r, held.epoch) {
            Some(Phase::GivenBack) => return Decision::GiveBack,
            // In its next epoch it may be answered whatever was signed in this one.
            Some(Phase::Lost) if setting.is_read[r] => return Decision::Wait,
            _ => {}
        }
        let is_in_doubt = node.past(r) != Past::Fresh && !setting.is_read[r];
        let executes_claimed = setting.is_mutant(Mutant::ClaimerExecutes)
            || setting.is_mutant(Mutant::LedgerBelievesClaimers);
        if is_in_doubt || (held.is_claimed && !executes_claimed) {
            return Decision::Refuse;
        }
        let latest_ms = setting.latest_ms(self, n);
        let checks_lease = !setting.is_mutant(Mutant::LeaseUnchecked);
        let too_late = if latest_ms >= Ledger::moment(setting.ledger.deadline) {
            Some(Decision::Refuse)
        } else {
            (latest_ms >= held.lease_ends_ms).then_some(Decision::Wait)
        };
        if let Some(decision) = too_late
            && checks_lease
            && !held.is_claimed
        {
            return decision;
        }
        match setting.ledger.admit(&node.view, latest_ms, n, r) {
            Ok(epoch) => Decision::Begin(epoch),
            Err(NotAuthorized::AlreadyAnswered) => Decision::Wait,
            Err(NotAuthorized::ClaimedWrite) if executes_claimed => Decision::Begin(held.epoch),
            Err(NotAuthorized::ClaimedWrite) => Decision::Refuse,
            Err(NotAuthorized::NotAssigned) if setting.is_mutant(Mutant::AnyAssignment) => {
                Decision::Begin(held.epoch)
            }
            Err(NotAuthorized::NotAssigned) => Decision::Wait,
            Err(NotAuthorized::LeaseOver) if !checks_lease => Decision::Begin(held.epoch),
            Err(NotAuthorized::LeaseOver) => too_late.unwrap_or(Decision::Wait),
            Err(other) => panic!("{other}"),
        }
    }

    fn begin(&mut self, setting: &Setting, n: usize, r: usize, held: Held, epoch: u64) -> Task {
        if setting.is_read[r] {
            return Task::Begun(held, epoch);
        }
        let may = self.nodes[n].begin(r, epoch);
        if setting.is_mutant(Mutant::BeginUnwritten) {
            self.nodes[n].journal.remove(&(r, epoch));
        }
        if may {
            Task::Begun(held, epoch)
        } else {
            self.answer(setting, n, r, held, UNKNOWN)
        }
    }

    /// Signs an answer and writes it down; from here on it may be on its way.
    fn answer(&mut self, setting: &Setting, n: usize, r: usize, held: Held, status: u16) -> Task {
        let epoch = held.epoch;
        let earlier = self.left.iter().filter(|signed| {
            matches!(signed, Signed::Answer(answer) if (answer.node, answer.request) == (n, r))
        });
        let answer = Answer {
            node: n,
            request: r,
            epoch,
            status,
            nonce: u8::try_from(earlier.count()).unwrap(),
        };
        let kept = if setting.is_mutant(Mutant::AnswerUnwritten) {
            answer
        } else {
            self.nodes[n].answer(answer)
        };
        self.left.insert(Signed::Answer(kept));
        Task::Delivering(kept)
    }

    /// A body that is not there, a cluster that cannot be reached: given back if another may manage.
    fn fail(&mut self, setting: &Setting, n: usize, r: usize, is_late: bool) -> Option<()> {
        self.faults.failures -= 1;
        let held = match self.nodes[n].tasks[r].clone() {
            Task::Looked(held) => match self.decide(setting, n, r, held) {
                Decision::Begin(_) => held,
                _ => return None,
            },
            Task::Begun(held, epoch) => {
                if setting.is_mutant(Mutant::DoubtGivenBack) {
                    // It broke off, and is taken for not sent.
                    self.send(setting, n, r, epoch);
                }
                self.nodes[n].not_sent(r, epoch);
                held
            }
            _ => return None,
        };
        let may_release = held.epoch < MAX_RELEASES
            && !held.is_claimed
            && setting.local_ms(self, n) < Ledger::moment(setting.ledger.deadline);
        if is_late && !may_release {
            return None;
        }
        let is_released = may_release && self.release(setting, n, r, held.epoch, is_late);
        let next = if is_released {
            Task::Idle
        } else {
            self.answer(setting, n, r, held, UNAVAILABLE)
        };
        self.nodes[n].tasks[r] = next;
        Some(())
    }

    /// Whether the executor learns that the ledger took it.
    fn release(
        &mut self,
        setting: &Setting,
        n: usize,
        r: usize,
        epoch: u64,
        is_late: bool,
    ) -> bool {
        let release = Signed::Release(Claim {
            node: n,
            request: r,
            epoch,
        });
        if !setting.is_read[r] && !setting.is_mutant(Mutant::ReleaseUnwritten) {
            self.nodes[n].give_back(r, epoch);
        }
        self.left.insert(release);
        !is_late && self.submit(setting, release).is_ok()
    }

    /// A shutdown: what has begun was waited for, what has not is given back.
    fn stop(&mut self, setting: &Setting, n: usize, is_late: bool) -> Option<()> {
        if self.nodes[n].tasks.iter().any(|task| *task != Task::Idle) {
            return None;
        }
        for r in 0..setting.is_read.len() {
            let node = &self.nodes[n];
            let request = setting.ledger.request(&node.view, r);
            let is_mine = setting.ledger.node(request.executor) == n && request.outcome.is_none();
            let epoch = request.epoch;
            if is_mine && node.past(r) == Past::Fresh && !request.is_claimed_write() {
                self.release(setting, n, r, epoch, is_late);
            } else if is_late {
                return None;
            }
        }
        if is_late {
            self.faults.late -= 1;
        }
        self.end(setting, n)
    }

    fn end(&mut self, setting: &Setting, n: usize) -> Option<()> {
        if self.nodes[n].life != Life::Up {
            return None;
        }
        self.faults.crashes -= 1;
        self.nodes[n].life = Life::Down;
        self.nodes[n].forget(&setting.ledger.genesis);
        Some(())
    }

    fn start(&mut self, n: usize) {
        let view = self.ledger.clone();
        let node = &mut self.nodes[n];
        (node.life, node.view) = (Life::Up, view);
        for ((r, _), entry) in &node.journal {
            if let (Phase::Answered, Some(answer)) = (entry.phase, entry.answer)
                && node.tasks[*r] == Task::Idle
            {
                node.tasks[*r] = Task::Delivering(answer);
            }
        }
    }

    /// What was assigned before the new journal was made may have begun under the old one.
    fn lose(&mut self, setting: &Setting, n: usize) {
        let node = &mut self.nodes[n];
        node.journal.clear();
        if setting.is_mutant(Mutant::LossForgotten) {
            return;
        }
        for r in 0..setting.is_read.len() {
            let request = setting.ledger.request(&self.ledger, r);
            if request.outcome.is_none() && setting.ledger.node(request.executor) == n {
                node.lost(r, request.epoch);
            }
        }
    }

    // Between executor and cluster.

    /// Sends a request to the cluster, and notes what must not be.
    fn send(&mut self, setting: &Setting, n: usize, r: usize, epoch: u64) {
        let epochs = &self.assigned[r];
        let known = usize::try_from(epoch).ok().and_then(|at| epochs.get(at));
        match known.filter(|assignment| assignment.node == n) {
            None => {
                self.broken.insert(Rule::OnlyAdmitted);
            }
            Some(assignment) if Ledger::moment(self.now) >= assignment.lease_ends_ms => {
                self.broken.insert(Rule::WithinLease);
            }
            Some(_) => {}
        }
        if !setting.is_read[r] && epochs.iter().any(|assignment| assignment.is_claimed) {
            self.broken.insert(Rule::NoClaimedWrite);
        }
        *self.flying.entry((n, r)).or_default() += 1;
    }

    fn take_off(&mut self, n: usize, r: usize) -> Option<()> {
        let count = self.flying.get_mut(&(n, r))?;
        *count -= 1;
        if *count == 0 {
            self.flying.remove(&(n, r));
        }
        Some(())
    }

    fn land(&mut self, setting: &Setting, n: usize, r: usize) -> Option<()> {
        self.take_off(n, r)?;
        if !setting.is_read[r] {
            self.carried_out[r] += 1;
        }
        Some(())
    }

    fn reply(&mut self, setting: &Setting, n: usize, r: usize, status: u16) {
        if let Task::Sent(held) = self.nodes[n].tasks[r] {
            self.nodes[n].tasks[r] = self.answer(setting, n, r, held, status);
        }
    }

    // Between executor and ledger.

    /// Brings a call to the ledger, and notes what must not be accepted.
    fn submit(&mut self, setting: &Setting, signed: Signed) -> Result<(), Code> {
        let now_ms = Ledger::moment(self.now);
        let after = setting.ledger.judge(&self.ledger, now_ms, signed)?;
        let before = std::mem::replace(&mut self.ledger, after);
        match signed {
            Signed::Claim(claim) => {
                let held = setting.ledger.request(&before, claim.request);
                if now_ms < held.lease_ends_ms {
                    self.broken.insert(Rule::NoEarlyClaim);
                }
                self.note_assignment(setting, claim.request, true);
            }
            Signed::Release(release) => self.note_assignment(setting, release.request, false),
            Signed::Answer(answer) => {
                self.accepted[answer.request] += 1;
                let held = setting.ledger.request(&before, answer.request);
                let is_present =
                    setting.ledger.node(held.executor) == answer.node && held.epoch == answer.epoch;
                if !is_present {
                    self.broken.insert(Rule::PresentEpoch);
                }
                if held.is_claimed_write() && answer.status != UNKNOWN {
                    self.broken.insert(Rule::NoClaimedOutcome);
                }
            }
        }
        Ok(())
    }

    fn note_assignment(&mut self, setting: &Setting, r: usize, is_claimed: bool) {
        let held = setting.ledger.request(&self.ledger, r);
        self.assigned[r].push(Assignment {
            node: setting.ledger.node(held.executor),
            lease_ends_ms: held.lease_ends_ms,
            is_claimed,
        });
    }
}

const OK: u16 = 200;
const UNAVAILABLE: u16 = 503;
/// What is answered when nobody knows, and when it is too late.
const UNKNOWN: u16 = 504;
/// As `Config::max_releases`.
const MAX_RELEASES: u64 = 2;
