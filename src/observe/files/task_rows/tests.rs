use super::*;

/// The columns of 2026.4.15 that are read.
const TABLE: &str = "CREATE TABLE task_runs (task_id TEXT PRIMARY KEY, runtime TEXT, run_id TEXT,
    owner_key TEXT, requester_session_key TEXT, child_session_key TEXT, agent_id TEXT,
    parent_flow_id TEXT, parent_task_id TEXT, label TEXT, status TEXT, delivery_status TEXT,
    created_at INTEGER, started_at INTEGER, ended_at INTEGER, last_event_at INTEGER);";

fn database(sql: &str) -> Connection {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(sql).unwrap();
    db
}

fn read(db: &Connection, wanted: TasksKept) -> rusqlite::Result<Vec<Task>> {
    read_tasks(db, Path::new("/s/tasks/runs.sqlite"), wanted)
}

/// `rows`: id, run, child, label, status, delivery.
#[track_caller]
fn check(rows: &[[&str; 6]], want: &[&str]) {
    let db = database(TABLE);
    for [id, run, child, label, status, delivery] in rows {
        db.execute(
            "INSERT INTO task_runs (task_id, runtime, run_id, child_session_key, label, status,
               delivery_status) VALUES (?1, 'acp', ?2, ?3, ?4, ?5, ?6)",
            [id, run, child, label, status, delivery],
        )
        .unwrap();
    }
    let ids: Vec<_> =
        read(&db, TasksKept::Notable).unwrap().into_iter().map(|task| task.id.0).collect();
    assert_eq!(ids, want);
    assert_eq!(read(&db, TasksKept::All).unwrap().len(), rows.len());
}

#[test]
fn a_finished_and_told_task_is_not_worth_a_second_look() {
    check(
        &[
            ["1", "r1", "c1", "demo", "succeeded", "session_queued"],
            ["2", "r1", "c1", "demo", "succeeded", "delivered"],
            ["3", "r1", "c1", "demo", "failed", "not_applicable"],
            ["4", "", "c1", "", "lost", "parent_missing"],
        ],
        &[],
    );
}

#[test]
fn what_is_not_over_brings_its_whole_family() {
    check(
        &[
            ["1", "r1", "c1", "demo", "running", "pending"],
            ["2", "r1", "c1", "demo", "failed", "delivered"],
            ["3", "r2", "c1", "demo", "failed", "delivered"],
            ["4", "", "c1", "", "queued", "not_applicable"],
            ["5", "", "c1", "", "succeeded", "not_applicable"],
        ],
        &["1", "2", "4"],
    );
    check(&[["1", "r1", "c1", "", "hovering", ""]], &["1"]);
    check(&[["1", "r1", "c1", "", "failed", "pending"]], &["1"]);
}

#[test]
fn three_ends_of_one_child_and_label_are_worth_it_and_two_are_not() {
    let row = |id, run, label| [id, run, "c1", label, "succeeded", "delivered"];
    check(&[row("1", "r1", "x"), row("2", "r2", "x"), row("3", "r2", "x")], &[]);
    check(&[row("1", "r1", "x"), row("2", "r2", "x"), row("3", "r3", "y")], &[]);
    check(&[row("1", "r1", ""), row("2", "r2", ""), row("3", "r3", "")], &[]);
    let three = [row("1", "r1", "x"), row("2", "r2", "x"), row("3", "r3", "x")];
    check(&three, &["1", "2", "3"]);
}

#[test]
fn a_row_is_read_with_its_keys_and_times_and_without_its_text() {
    let db = database(&format!(
        "{TABLE} ALTER TABLE task_runs ADD COLUMN execution_owner_pid INTEGER;
         INSERT INTO task_runs VALUES ('t', 'subagent', 'r', 'o', 'q', 'c', 'claude', 'f', 'p',
           'demo', 'running', 'pending', 5, 6, NULL, 0, 4711);"
    ));
    let task = Task {
        id: TaskId("t".to_owned()),
        database: "/s/tasks/runs.sqlite".into(),
        runtime: TaskRuntime::Subagent,
        run: Some(RunId("r".to_owned())),
        owner: Some("o".into()),
        requester: Some("q".into()),
        child: Some("c".into()),
        agent: Some("claude".into()),
        flow: Some("f".to_owned()),
        parent: Some(TaskId("p".to_owned())),
        label: Some("demo".to_owned()),
        status: TaskStatus::Running,
        delivery: Delivery::Unsettled,
        created_at: Some(UnixMillis(5)),
        started_at: Some(UnixMillis(6)),
        ended_at: None,
        last_event_at: None,
        owner_pid: Some(4711),
    };
    assert_eq!(read(&db, TasksKept::Notable).unwrap(), [task]);
}

#[test]
fn hostile_cells_are_neither_kept_nor_an_end_of_the_reading() {
    let huge = "x".repeat(10 << 20);
    let db = database(TABLE);
    let insert = "INSERT INTO task_runs (task_id, label, status, child_session_key, started_at)
        VALUES (?1, ?2, 'running', ?3, ?4)";
    db.execute(insert, ("1", &huge, "a\0b", "soon")).unwrap();
    db.execute(insert, (&huge, "x", "c", 1)).unwrap();
    db.execute(insert, (vec![0xff_u8], "x", "c", 1)).unwrap();
    db.execute(insert, (7.5, &"é".repeat(150), "c", i64::MIN)).unwrap();
    let tasks = read(&db, TasksKept::Notable).unwrap();
    let ids: Vec<_> = tasks.iter().map(|task| task.id.0.as_str()).collect();
    assert_eq!(ids, ["1", "7.5"]);
    assert_eq!((&tasks[0].label, &tasks[0].child, tasks[0].started_at), (&None, &None, None));
    assert_eq!(tasks[1].label.as_deref(), Some(&*"é".repeat(100)));
    assert_eq!(tasks[1].started_at, None);
}

#[test]
fn a_table_of_2026_4_5_lacks_columns_and_no_table_has_no_tasks() {
    let db = database(
        "CREATE TABLE task_runs (task_id TEXT, owner_key TEXT, status TEXT, delivery_status TEXT);
         INSERT INTO task_runs VALUES ('1', 'o', 'running', 'pending');",
    );
    assert_eq!(read(&db, TasksKept::Notable).unwrap()[0].owner, Some("o".into()));
    assert_eq!(read(&database(""), TasksKept::Notable).unwrap(), []);
}

#[test]
fn another_table_is_an_error_and_never_no_tasks() {
    let db = database("CREATE TABLE task_runs (task_id TEXT, owner_key TEXT)");
    for wanted in [TasksKept::Notable, TasksKept::All] {
        assert!(read(&db, wanted).unwrap_err().to_string().contains("no such column"));
    }
}

#[test]
fn more_than_any_gateway_has_are_an_error() {
    let fill = |count: usize, status: &str| {
        database(&format!(
            "{TABLE} INSERT INTO task_runs (task_id, run_id, status, delivery_status)
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             SELECT 't' || i, 'r' || i, '{status}', 'delivered' FROM n;"
        ))
    };
    assert_eq!(read(&fill(KEPT_MAX, "running"), TasksKept::Notable).unwrap().len(), KEPT_MAX);
    let error = read(&fill(KEPT_MAX + 1, "running"), TasksKept::Notable).unwrap_err();
    assert!(error.to_string().contains("more than 20000 tasks"), "{error}");
    let over = fill(KEPT_MAX + 1, "succeeded");
    assert_eq!(read(&over, TasksKept::Notable).unwrap(), []);
    // Whoever asks for all in the worst hour gets them.
    assert_eq!(read(&over, TasksKept::All).unwrap().len(), KEPT_MAX + 1);
}
