//! Counters and gauges of the link.

use super::catalogue;

catalogue! {
    /// One value for the gateway's link, whatever number of logics is attached.
    pub enum LinkCount {
        /// Logic instances attached.
        Attached = Gauge "logics_attached",
        /// Times a logic attached.
        Attaches = Counter "logic_attaches",
        /// Links ended because the logic broke the rules of the link.
        Violations = Counter "logic_violations",
        /// Links ended because the logic did not read its events, or did not acknowledge memberships.
        Stalls = Counter "logic_stalls",
        /// Commands received.
        Commands = Counter "commands",
        /// Commands for connections that were never of this gateway, or with a field left out.
        CommandsUnusable = Counter "commands_unusable",
        /// Commands waiting because a shard's mailbox is full.
        MailWaiting = Gauge "mail_waiting",
        /// Deliveries under way.
        Jobs = Gauge "jobs",
        /// Bytes of messages under way.
        JobBytes = Gauge "job_bytes",
        /// Times the link stopped reading commands because too many bytes were under way.
        JobBytesFull = Counter "job_bytes_full",
        /// Events sent to logic.
        Events = Counter "events",
        /// Events of connections whose logic had gone; the next logic is told of the session instead.
        EventsOrphaned = Counter "events_orphaned",
        /// Times the link stopped reading from shards because a logic had too many events waiting.
        EventsFull = Counter "events_full",
        /// Apps and topics with members.
        Memberships = Gauge "memberships",
        /// Connections whose login or join waits until every logic knows of the app or topic.
        EventsHeld = Gauge "events_held",
        /// Answers to joins held until every logic knows of the topic.
        AnswersHeld = Gauge "join_answers_held",
        /// Joins refused because a logic did not acknowledge the topic in time.
        AnswersOverdue = Counter "join_answers_overdue",
    }
}
