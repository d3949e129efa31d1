import importlib.util, pytest
from pathlib import Path
from sqlalchemy import select
spec = importlib.util.spec_from_file_location("tt", Path(__file__).with_name("test_tampers.py"))
import sys
tt = importlib.util.module_from_spec(spec); sys.modules["tt"]=tt; spec.loader.exec_module(tt)
from tt import *
known = tt.known
from db.tables import *
def ev(name, value):
    def alter(scene):
        row = tt._event(scene, lambda r: r.kind=="overdue"); setattr(row, name, value)
    return alter
def col(name, value):
    def alter(scene):
        setattr(tt._issue(scene), name, value)
    return alter
def erased(scene):
    row=scene.seal(); row.salt=None; row.record=None
def idx(scene):
    scene.index()[0].sha256="00"*32
def idx_events(scene):
    scene.index()[0].events=1
def policy(scene):
    row=scene.session.scalars(select(PolicyRow)).first(); row.body={**row.body,"title":"x"}
def notices(scene):
    scene.session.query(OutboxRow).filter(OutboxRow.issue==scene.victim.issue).delete()
def alarm(scene):
    scene.session.query(AlarmRow).delete()
def sealed_at(scene):
    scene.seal().sealed_at=datetime(2020,1,1,tzinfo=UTC)
def recmod(**kw):
    def alter(scene): scene.reseal(change=lambda r: r.update(kw))
    return alter
def replay_holds(scene):
    scene.reseal(change=lambda r: r["replay"].update(holds=True, findings=[]))
def extra_issue(scene):
    row=tt._issue(scene); d={c.name:getattr(row,c.name) for c in IssueRow.__table__.columns}; d["id"]="ghost"; d["closed_at"]=datetime(2026,1,1,tzinfo=UTC)
    scene.session.add(IssueRow(**d))
def extra_open_issue(scene):
    row=tt._issue(scene); d={c.name:getattr(row,c.name) for c in IssueRow.__table__.columns}; d["id"]="ghost"; d["closed_at"]=None
    scene.session.add(IssueRow(**d))
def seal_row_gone_with_issue(scene):
    pass
def all_gone(scene):
    scene.session.execute(delete(SealRow).where(SealRow.issue==scene.victim.issue))
    scene.session.execute(delete(ArchiveRow).where(ArchiveRow.issue==scene.victim.issue))
P={"event kind":ev("kind","commented"),"event at":ev("at",datetime(2020,1,1,tzinfo=UTC)),"event recorded_at":ev("recorded_at",None),"event stored_at":ev("stored_at",datetime(2020,1,1,tzinfo=UTC)),
 "words":col("words","x"),"fence":col("fence",7),"first_policy":col("first_policy","x"),"first_calendars":col("first_calendars","x"),"due":col("due",datetime(2020,1,1,tzinfo=UTC)),"acts_at":col("acts_at",datetime(2020,1,1,tzinfo=UTC)),"left_by":col("left_by",datetime(2020,1,1,tzinfo=UTC)),"next_org":col("next_org","x"),
 "erased":erased,"index sha":idx,"index events":idx_events,"policy body":policy,"outbox":notices,"alarms":alarm,"sealed_at":sealed_at,"record closed":recmod(closed={"kind":"partly","satisfaction":"satisfied"}),"record number":recmod(number="JS-9"),"record policies":recmod(policies=[]),"record calendars":recmod(calendars=[]),"record files":recmod(files={}),"record code":recmod(code={}),"record runs ids": lambda s: s.reseal(change=lambda r: r["runs"][0].update(run="zzz")),"record runs events": lambda s: s.reseal(change=lambda r: r["runs"][0].update(events=1)),"record format":recmod(format=9),"record version":recmod(version=99),
 "ghost closed":extra_issue,"ghost open":extra_open_issue}
@pytest.mark.parametrize("name", list(P))
async def test_probe(crowd, known, tmp_path, name):
    try:
        with tt.stage(crowd, tmp_path, known, some(filter(tt.having("overdue"), known))) as scene: P[name](scene)
        mine, theirs, log = await tt.found(scene, Trust.beside(crowd.heads))
        r=[str(x)[33:] if x.issue else str(x) for x in mine]+[str(x) for x in log]
    except Exception as e: r=repr(e)[:300]
    with open("/tmp/probe.out","a") as f: f.write(f"{name}: {r}\n")
