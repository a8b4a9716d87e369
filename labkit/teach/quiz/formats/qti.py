"""QTI 1.2 as Canvas imports it: a zip with `imsmanifest.xml`, the quiz, its `assessment_meta.xml`, and the capture.

IMS Question and Test Interoperability 1.2 and Content Packaging 1.1.4. PrairieLearn's importer reads it too.
"""

from collections.abc import Mapping
from hashlib import sha256
from xml.etree import ElementTree as Xml

from labkit.teach.quiz import Quiz
from labkit.teach.quiz.formats import _text as text
from labkit.teach.quiz.question import Question

SUMMARY = "QTI 1.2, a zip that Canvas imports"
SUFFIX = ".zip"

QTI = "http://www.imsglobal.org/xsd/ims_qtiasiv1p2"
PACKAGE = "http://www.imsglobal.org/xsd/imsccv1p1/imscp_v1p1"
CANVAS = "http://canvas.instructure.com/xsd/cccv1p0"
FILES = "$IMS-CC-FILEBASE$"
"""Canvas replaces this by the folder of the course's files."""


def files(quiz: Quiz) -> Mapping[str, bytes]:
    """The files of the zip by path."""
    name = f"i{sha256(''.join([quiz.title, *(each.id for each in quiz.questions)]).encode()).hexdigest()[:32]}"
    found = {
        "imsmanifest.xml": _manifest(quiz, name),
        f"{name}/{name}.xml": _assessment(quiz, name),
        f"{name}/assessment_meta.xml": _meta(quiz, name),
    }
    if quiz.capture:
        found[f"web_resources/{quiz.file}"] = quiz.capture
    return found


def _manifest(quiz: Quiz, name: str) -> bytes:
    root = Xml.Element("manifest", identifier=f"{name}-manifest", xmlns=PACKAGE)
    metadata = Xml.SubElement(root, "metadata")
    Xml.SubElement(metadata, "schema").text = "IMS Content"
    Xml.SubElement(metadata, "schemaversion").text = "1.1.3"
    Xml.SubElement(root, "organizations")
    resources = Xml.SubElement(root, "resources")
    own = Xml.SubElement(resources, "resource", identifier=name, type="imsqti_xmlv1p2")
    Xml.SubElement(own, "file", href=f"{name}/{name}.xml")
    Xml.SubElement(own, "dependency", identifierref=f"{name}-meta")
    kind = "associatedcontent/imscc_xmlv1p1/learning-application-resource"
    meta = Xml.SubElement(
        resources, "resource", identifier=f"{name}-meta", type=kind, href=f"{name}/assessment_meta.xml"
    )
    Xml.SubElement(meta, "file", href=f"{name}/assessment_meta.xml")
    if quiz.capture:
        href = f"web_resources/{quiz.file}"
        file = Xml.SubElement(resources, "resource", identifier=f"{name}-file", type="webcontent", href=href)
        Xml.SubElement(file, "file", href=href)
    return text.document(root)


def _meta(quiz: Quiz, name: str) -> bytes:
    root = Xml.Element("quiz", identifier=name, xmlns=CANVAS)
    values = {
        "title": quiz.title,
        "description": f"<p>{text.about(quiz)}</p>",
        "shuffle_answers": "true",
        "scoring_policy": "keep_highest",
        "quiz_type": "assignment",
        "points_possible": f"{len(quiz.questions)}.0",
    }
    for key, value in values.items():
        Xml.SubElement(root, key).text = value
    return text.document(root)


def _assessment(quiz: Quiz, name: str) -> bytes:
    root = Xml.Element("questestinterop", xmlns=QTI)
    assessment = Xml.SubElement(root, "assessment", ident=name, title=quiz.title)
    _fields(assessment, cc_maxattempts="1")
    section = Xml.SubElement(assessment, "section", ident="root_section")
    for number, question in enumerate(quiz.questions, 1):
        _item(section, quiz, number, question)
    return text.document(root)


def _item(section: Xml.Element, quiz: Quiz, number: int, question: Question) -> None:
    item = Xml.SubElement(section, "item", ident=f"q{question.id}", title=text.title(number, question))
    choices = quiz.choices(question)
    _fields(
        Xml.SubElement(item, "itemmetadata"),
        question_type="multiple_choice_question",
        points_possible="1.0",
        original_answer_ids=",".join(str(place) for place in range(1, len(choices) + 1)),
        assessment_question_identifierref=f"a{question.id}",
    )
    presentation = Xml.SubElement(item, "presentation")
    link = f"{FILES}/{quiz.file}" if quiz.capture else ""
    _material(presentation, text.html_stem(question, text.about(quiz, link)))
    response = Xml.SubElement(presentation, "response_lid", ident="response1", rcardinality="Single")
    render_choice = Xml.SubElement(response, "render_choice")
    for place, choice in enumerate(choices, 1):
        _material(
            Xml.SubElement(render_choice, "response_label", ident=str(place)), f"<p>{text.escape(choice.text)}</p>"
        )
    processing = Xml.SubElement(item, "resprocessing")
    outcomes = Xml.SubElement(processing, "outcomes")
    Xml.SubElement(outcomes, "decvar", maxvalue="100", minvalue="0", varname="SCORE", vartype="Decimal")
    general = _condition(processing, None)
    Xml.SubElement(general, "displayfeedback", feedbacktype="Response", linkrefid="general_fb")
    for place in range(1, len(choices) + 1):
        shown = _condition(processing, str(place))
        Xml.SubElement(shown, "displayfeedback", feedbacktype="Response", linkrefid=f"{place}_fb")
    right = _condition(processing, str(choices.index(question.right) + 1), "No")
    Xml.SubElement(right, "setvar", action="Set", varname="SCORE").text = "100"
    _feedback(item, "general_fb", text.html_explanation(question))
    for place, choice in enumerate(choices, 1):
        _feedback(item, f"{place}_fb", f"<p>{text.escape(text.reason(question, choice))}</p>")


def _condition(processing: Xml.Element, answer: str | None, more: str = "Yes") -> Xml.Element:
    condition = Xml.SubElement(processing, "respcondition", {"continue": more})
    variable = Xml.SubElement(condition, "conditionvar")
    if answer is None:
        Xml.SubElement(variable, "other")
    else:
        Xml.SubElement(variable, "varequal", respident="response1").text = answer
    return condition


def _feedback(item: Xml.Element, ident: str, html: str) -> None:
    _material(Xml.SubElement(Xml.SubElement(item, "itemfeedback", ident=ident), "flow_mat"), html)


def _material(parent: Xml.Element, html: str) -> None:
    Xml.SubElement(Xml.SubElement(parent, "material"), "mattext", texttype="text/html").text = html


def _fields(parent: Xml.Element, **values: str) -> None:
    metadata = Xml.SubElement(parent, "qtimetadata")
    for label, entry in values.items():
        field = Xml.SubElement(metadata, "qtimetadatafield")
        Xml.SubElement(field, "fieldlabel").text = label
        Xml.SubElement(field, "fieldentry").text = entry
