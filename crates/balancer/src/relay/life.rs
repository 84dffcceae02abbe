//! What becomes of one client, from the moment it is accepted: which member is dialed, what the client hears, when both ends are closed.
//!
//! Owns the order of things. Knows no socket, no byte and no clock: whoever drives it says what happened and does what it answers.
//! Always holds: the client hears nothing before a member has greeted, or nobody can; a client is refused at most once, and never after it
//! was relayed; `Effect::Close` comes once and is the last.

use super::words::Reason;

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Something has to come from the client before a member can be chosen: a PROXY header, a TLS greeting, a handshake.
    Opening,
    /// A member is being chosen or connected to.
    Dialing,
    /// Connected; the member's greeting has to come.
    Awaiting,
    /// Another member has greeted; it is told how the client greeted the first one.
    Repeating,
    /// Bytes flow both ways, or one way when the other has ended.
    Relaying,
    /// Last words are on their way to the client.
    Parting,
    /// Over.
    Done,
}

/// The life of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    phase: Phase,
    greets: bool,
    retries: u8,
    retried: u8,
    up_ended: bool,
    down_ended: bool,
    /// It was relayed, and another member takes over.
    changing: bool,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The client has said what has to be known before.
    Opened,
    /// There is no member, or no further one.
    Nobody(Reason),
    /// The member took the connection.
    Connected,
    /// The member's whole greeting is good.
    Greeted,
    /// The member refused, was silent for too long, greeted with 4xx or 5xx, or broke the connection.
    Failed,
    /// The client sends nothing more; `waiting`: it has sent something before that.
    ClientEnded { waiting: bool },
    /// All that the client sent until its end is with the member.
    UpPassed,
    /// All that the member sent until its end is with the client; `quit`: the client had said that it goes.
    DownPassed { quit: bool },
    /// The client's end is broken.
    ClientLost,
    /// The member's end is broken.
    MemberLost,
    /// Another member has to go on with it.
    Change,
    /// The other member stands where the first one stood.
    Repeated,
    /// The balancer ends this connection, with these words if the client can hear words now.
    Part(Reason),
    /// The client's time is over: for its opening, or for taking its last words.
    Expired,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// Choose a member that was not tried, and dial it.
    Choose,
    /// Wait for the greeting.
    Await,
    /// Pass what the member said, then relay both ways.
    Relay,
    /// Leave the member; choose and dial another one.
    Change,
    /// Tell the other member how the client greeted, and wait for its answer.
    Repeat,
    /// Pass what waits for an answer, then relay both ways again.
    GoOn,
    /// Tell the client why not; leave the member.
    Refuse(Reason),
    /// The member gets the end that the client sent.
    EndMember,
    /// The client gets the end that the member sent.
    EndClient,
    /// Close both.
    Close,
}

impl Life {
    /// An accepted client. `opening`: it has to say something first; `greets`: a member is good when it has greeted; `retries`: further members
    /// that may be tried.
    pub(super) fn new(opening: bool, greets: bool, retries: u8) -> (Life, Effect) {
        let phase = if opening { Phase::Opening } else { Phase::Dialing };
        let life = Life { phase, greets, retries, retried: 0, up_ended: false, down_ended: false, changing: false };
        (life, if opening { Effect::None } else { Effect::Choose })
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// The client's end has not been passed to the member.
    pub(super) fn up_is_open(&self) -> bool {
        !self.up_ended
    }

    /// The member's end has not been passed to the client.
    pub(super) fn down_is_open(&self) -> bool {
        !self.down_ended
    }

    /// Takes what happened and says what is to be done.
    pub(super) fn step(&mut self, input: Input) -> Effect {
        let effect = match self.phase {
            Phase::Opening => self.opening(input),
            Phase::Dialing | Phase::Awaiting | Phase::Repeating => self.dialing(input),
            Phase::Relaying => self.relaying(input),
            Phase::Parting => match input {
                Input::ClientEnded { .. } | Input::ClientLost | Input::Expired => Effect::Close,
                _ => Effect::None,
            },
            Phase::Done => Effect::None,
        };
        match effect {
            Effect::Choose | Effect::Change => self.phase = Phase::Dialing,
            Effect::Await => self.phase = Phase::Awaiting,
            Effect::Repeat => self.phase = Phase::Repeating,
            Effect::Relay | Effect::GoOn => self.phase = Phase::Relaying,
            Effect::Refuse(_) => self.phase = Phase::Parting,
            Effect::Close => self.phase = Phase::Done,
            Effect::None | Effect::EndMember | Effect::EndClient => {}
        }
        effect
    }

    fn opening(&self, input: Input) -> Effect {
        match input {
            Input::Opened => Effect::Choose,
            Input::Part(reason) | Input::Nobody(reason) => Effect::Refuse(reason),
            Input::ClientEnded { .. } | Input::ClientLost | Input::Expired => Effect::Close,
            _ => Effect::None,
        }
    }

    fn dialing(&mut self, input: Input) -> Effect {
        match input {
            Input::Repeated if self.phase == Phase::Repeating => {
                self.changing = false;
                Effect::GoOn
            }
            Input::Connected | Input::Greeted if self.phase == Phase::Repeating => Effect::None,
            Input::Connected if self.phase == Phase::Awaiting => Effect::None,
            Input::Greeted if self.changing => Effect::Repeat,
            Input::Connected if self.greets => Effect::Await,
            Input::Connected | Input::Greeted => Effect::Relay,
            Input::Failed | Input::MemberLost if self.retried < self.retries => {
                self.retried += 1;
                Effect::Choose
            }
            // It was served: what it hears is that its server has gone.
            Input::Nobody(Reason::AllTried) | Input::Failed | Input::MemberLost if self.changing => {
                Effect::Refuse(Reason::Draining)
            }
            Input::Failed | Input::MemberLost => Effect::Refuse(Reason::AllTried),
            Input::Nobody(reason) | Input::Part(reason) => Effect::Refuse(reason),
            // A client that speaks, ends and waits for what comes back is served; one that only went away is not.
            Input::ClientEnded { waiting: false } if self.greets => Effect::Close,
            Input::ClientLost => Effect::Close,
            _ => Effect::None,
        }
    }

    fn relaying(&mut self, input: Input) -> Effect {
        match input {
            Input::UpPassed if self.up_ended => Effect::None,
            Input::UpPassed => {
                self.up_ended = true;
                if self.down_ended { Effect::Close } else { Effect::EndMember }
            }
            Input::DownPassed { .. } if self.down_ended => Effect::None,
            Input::DownPassed { quit } => {
                self.down_ended = true;
                if self.up_ended || quit { Effect::Close } else { Effect::EndClient }
            }
            Input::Part(reason) if !self.down_ended => Effect::Refuse(reason),
            Input::Change if !self.down_ended && !self.up_ended => {
                (self.changing, self.retried) = (true, 0);
                Effect::Change
            }
            Input::Change | Input::Part(_) | Input::ClientLost | Input::MemberLost | Input::Expired => Effect::Close,
            _ => Effect::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use Input::{ClientLost, Connected, Expired, Failed, Greeted, MemberLost, Nobody, Opened, Part, UpPassed};

    const ENDED: Input = Input::ClientEnded { waiting: false };
    const SPOKE: Input = Input::ClientEnded { waiting: true };
    const DOWN: Input = Input::DownPassed { quit: false };
    const QUIT: Input = Input::DownPassed { quit: true };

    /// `inputs` one after the other give `effects`, of which the first is that of accepting.
    fn check(opening: bool, greets: bool, retries: u8, inputs: &[Input], effects: &[Effect]) {
        let (mut life, first) = Life::new(opening, greets, retries);
        let mut seen = vec![first];
        seen.extend(inputs.iter().map(|input| life.step(*input)));
        assert_eq!(seen, effects, "{inputs:?}");
    }

    #[test]
    fn the_member_greets_before_the_client_hears() {
        use Effect::{Await, Choose, Close, EndMember, Relay};
        check(false, true, 2, &[Connected, Greeted, QUIT], &[Choose, Await, Relay, Close]);
        check(false, true, 2, &[Connected, Greeted, UpPassed, DOWN], &[Choose, Await, Relay, EndMember, Close]);
        // Its greeting may be seen before its connection is.
        check(false, true, 2, &[Greeted, QUIT], &[Choose, Relay, Close]);
        check(false, false, 2, &[Connected, QUIT], &[Choose, Relay, Close]);
        check(true, true, 2, &[Opened, Connected, Greeted], &[Effect::None, Choose, Await, Relay]);
    }

    #[test]
    fn who_fails_is_followed_by_the_next_until_the_bound() {
        use Effect::{Await, Choose, Refuse, Relay};
        check(false, true, 2, &[Failed, Connected, Failed, Greeted], &[Choose, Choose, Await, Choose, Relay]);
        check(false, true, 1, &[Failed, MemberLost], &[Choose, Choose, Refuse(Reason::AllTried)]);
        check(false, true, 0, &[Connected, Failed], &[Choose, Await, Refuse(Reason::AllTried)]);
        check(false, true, 9, &[Failed, Nobody(Reason::AllDown)], &[Choose, Choose, Refuse(Reason::AllDown)]);
        check(false, true, 9, &[Connected, Part(Reason::Draining)], &[Choose, Await, Refuse(Reason::Draining)]);
    }

    #[test]
    fn a_client_that_goes_stops_the_dialing() {
        use Effect::{Await, Choose, Close, None, Relay};
        check(false, true, 2, &[ENDED, Failed], &[Choose, Close, None]);
        check(false, true, 2, &[Connected, ClientLost], &[Choose, Await, Close]);
        // It spoke, ended, and waits for the answer.
        check(false, true, 2, &[SPOKE, Connected, Greeted], &[Choose, None, Await, Relay]);
        check(false, false, 2, &[ENDED, Connected], &[Choose, None, Relay]);
        check(true, true, 2, &[ENDED], &[None, Close]);
        check(true, true, 2, &[Expired], &[None, Close]);
    }

    #[test]
    fn another_member_goes_on_and_the_client_hears_nothing() {
        use Effect::{Await, Change, Choose, Close, GoOn, None, Refuse, Relay, Repeat};
        use Input::Repeated;
        let change = Input::Change;
        let begun = [Connected, Greeted, change];
        let with = |more: &[Input]| [&begun[..], more].concat();
        let check = |more: &[Input], effects: &[Effect]| {
            check(false, true, 1, &with(more), &[&[Choose, Await, Relay, Change], effects].concat());
        };
        check(&[Connected, Greeted, Repeated, QUIT], &[Await, Repeat, GoOn, Close]);
        // The second one fails where it may, the third one does.
        check(&[Connected, Greeted, Failed, Greeted, Repeated], &[Await, Repeat, Choose, Repeat, GoOn]);
        check(&[Failed, Greeted, Failed], &[Choose, Repeat, Refuse(Reason::Draining)]);
        // Nobody else is there: the client is told.
        check(&[Nobody(Reason::AllDown), ENDED], &[Refuse(Reason::AllDown), Close]);
        check(&[Greeted, ENDED, Repeated], &[Repeat, Close, None]);
        // It may happen again.
        check(&[Greeted, Repeated, change, Greeted, Repeated], &[Repeat, GoOn, Change, Repeat, GoOn]);
    }

    #[test]
    fn each_way_ends_for_itself() {
        use Effect::{Choose, Close, EndClient, EndMember, None, Relay};
        check(false, false, 0, &[Connected, UpPassed, UpPassed, DOWN], &[Choose, Relay, EndMember, None, Close]);
        check(false, false, 0, &[Connected, DOWN, DOWN, UpPassed], &[Choose, Relay, EndClient, None, Close]);
        check(false, false, 0, &[Connected, DOWN, ClientLost], &[Choose, Relay, EndClient, Close]);
        check(false, false, 0, &[Connected, MemberLost], &[Choose, Relay, Close]);
        check(false, false, 0, &[Connected, Expired], &[Choose, Relay, Close]);
    }

    #[test]
    fn last_words_wait_for_the_client_to_go() {
        use Effect::{Choose, Close, None, Refuse, Relay};
        let parted = Refuse(Reason::Draining);
        check(
            false,
            false,
            0,
            &[Connected, Part(Reason::Draining), MemberLost, UpPassed, ENDED, ENDED],
            &[Choose, Relay, parted, None, None, Close, None],
        );
        check(
            false,
            false,
            0,
            &[Connected, Part(Reason::Idle), Expired],
            &[Choose, Relay, Refuse(Reason::Idle), Close],
        );
        // A client that got the member's end can hear nothing more.
        check(false, false, 0, &[Connected, DOWN, Part(Reason::Draining)], &[Choose, Relay, Effect::EndClient, Close]);
    }

    fn any_input() -> impl Strategy<Value = Input> {
        proptest::sample::select(vec![
            Opened,
            Nobody(Reason::AllDown),
            Connected,
            Greeted,
            Failed,
            ENDED,
            SPOKE,
            UpPassed,
            DOWN,
            QUIT,
            ClientLost,
            MemberLost,
            Part(Reason::Draining),
            Expired,
        ])
    }

    proptest! {
        /// Whatever happens in whatever order: nobody is dialed more often than allowed, nobody is refused who was relayed without a word of the
        /// balancer's own, and nothing is done after the end.
        #[test]
        fn nothing_happens_twice(
            opening: bool,
            greets: bool,
            retries in 0_u8..4,
            inputs in proptest::collection::vec(any_input(), 0..40),
        ) {
            let (mut life, first) = Life::new(opening, greets, retries);
            let mut effects = vec![first];
            for input in inputs {
                let before = life.phase();
                let effect = life.step(input);
                if before == Phase::Relaying && matches!(effect, Effect::Refuse(_)) {
                    prop_assert!(matches!(input, Part(_)));
                }
                prop_assert!(!(greets && effect == Effect::Relay && input != Greeted));
                effects.push(effect);
            }
            let count = |of: fn(&Effect) -> bool| effects.iter().filter(|effect| of(effect)).count();
            prop_assert!(count(|e| *e == Effect::Choose) <= usize::from(retries) + 1);
            prop_assert!(count(|e| matches!(e, Effect::Refuse(_))) <= 1);
            prop_assert!(count(|e| *e == Effect::Relay) <= 1);
            if let Some(end) = effects.iter().position(|effect| *effect == Effect::Close) {
                prop_assert!(effects[end + 1..].iter().all(|effect| *effect == Effect::None));
            }
        }
    }
}
