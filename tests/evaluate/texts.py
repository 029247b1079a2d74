"""Text of several scripts, with bytes that are no UTF-8."""

MIXED = "na\u00efve \u4e2d\u6587, 12 \u041c\u0438\u0440\n\U0001f600".encode() + b"\xff\xc3" + "e\u0301".encode()
