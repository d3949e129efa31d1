"""Names of the words of the vocabulary and of the commands: in Chinese, and in English where the word does not say it."""

from typing import Final

CHINESE: Final[dict[str, str]] = {
    "property": "物业", "community": "社区", "street": "街道", "resident": "居民", "department": "部门",
    "volunteer": "志愿者", "auditor": "审计", "admin": "管理员", "issue": "整件",
    "dispatched": "已派单", "accepted": "已签收", "arrived": "已到场", "planned": "已定方案", "answered": "已答复",
    "completed": "已办结", "suspended": "挂起", "waiting": "等待", "closed": "已结案",
    "leak": "漏水", "drain": "下水道", "elevator": "电梯", "utilities": "水电气暖", "facility": "设施",
    "parking": "停车", "noise": "噪声", "sanitation": "环境卫生", "greening": "绿化", "animals": "动物",
    "falling_objects": "高空抛物", "safety": "安全", "fees": "收费", "illegal_building": "违建",
    "ebike_charging": "电动车充电", "common_income": "公共收益", "care": "关爱", "owners_affairs": "业主事务",
    "dispute": "纠纷", "other": "其他",
    "accept": "签收", "contact": "联系", "arrive": "到场", "assess": "研判", "sit": "会商", "plan": "方案",
    "confirm": "确认", "update": "通报进展", "progress": "推进", "rule": "裁定", "step_done": "完成一步", "supply": "回答提问", "resume": "恢复",
    "answer": "答复", "handle": "处置", "act": "办理", "complete": "办结",
    "arbitration": "仲裁", "administrative": "行政途径", "judicial": "司法途径", "own_side": "评价人属于办理方", "unverified": "评价人未验证手机",
    "urgent": "急件", "minor": "小问题", "complex": "较复杂", "big": "大问题", "hard": "疑难",
    "solved": "已解决", "partly": "部分解决", "explained": "已解释说明", "not": "未解决", "referred": "已转主管部门",
    "settled": "调解成功", "not_settled": "调解未成", "withdrawn": "已撤回", "rejected": "不予受理", "merged": "已并案",
    "satisfied": "满意", "basically": "基本满意", "dissatisfied": "不满意", "not_rated": "未评价",
    "company": "物业公司", "society": "物业服务社", "volunteers": "志愿者", "operator": "物业", "third_party": "第三方", "nobody": "无人",
    "not_our_place": "不属本辖区", "not_our_duty": "不属本职责", "duplicate": "重复", "needs_owners": "须业主决定",
    "needs_authority": "须主管部门处理", "unclear": "诉求不明",
    "parts": "等配件", "weather": "等天气", "access": "等入户", "funds": "等资金", "vote": "等业主表决", "procurement": "等采购",
    "deadline": "超时", "size": "问题过大", "hand": "人工上报", "transfers": "多次转办", "reopening": "重新打开",
    "recurrence": "再次发生", "ruling": "裁定", "shelving": "搁置",
    "extend": "延期", "pause": "暂停", "objection": "异议",
    "all": "全部", "work": "办理时限", "nothing": "不停", "dropped": "不予受理或并案期间全停",
    "110": "报警", "119": "火警", "120": "急救", "122": "交通事故",
    "web": "网页", "phone": "电话", "wechat": "微信", "visit": "来访", "hotline": "热线", "staff": "工作人员", "device": "设备",
    "comment": "留言", "attach": "上传照片", "urge": "催单", "object": "提出异议", "withdraw": "撤回", "reopen": "重新打开",
    "renew_code": "更换查询码", "follow": "跟进", "unfollow": "不再跟进", "report": "报告", "decline": "退单", "assign": "指派", "schedule": "预约",
    "attempt": "记录未联系上", "mitigate": "排险", "ask": "提问", "wait": "等待", "refer": "转报", "escalate": "上报",
    "redispatch": "改派", "return": "退回重办", "supervise": "督办", "instruct": "指示", "grant": "批准", "deny": "驳回",
    "adopt": "并入", "merge": "并案", "split": "拆案", "reject": "不予受理", "shelve": "搁置", "correct": "更正",
    "change_policy": "变更规则", "calendar_published": "公布日历", "directory_changed": "更新名录",
}  # fmt: skip

ENGLISH: Final[dict[str, str]] = {
    "not": "not solved", "110": "police", "119": "fire brigade", "120": "ambulance", "122": "traffic police",
}  # fmt: skip
