"""Reads reports with libraries that others wrote, and prints as JSON what they found:

junit SCHEMA FILE   what junitparser reads of JUnit XML, once xmlschema has found it valid
histograms FILE     what hdrhistogram reads of each backend's histogram in a JSON report
"""

import json
import sys


def junit(schema, file):
    import junitparser
    import xmlschema

    xmlschema.XMLSchema(schema).validate(file)
    suites = []
    for suite in junitparser.JUnitXml.fromfile(file):
        cases = []
        for case in suite:
            results = [
                {"is": type(result).__name__, "type": result.type, "message": result.message}
                for result in case.result
            ]
            cases.append({"name": case.name, "class": case.classname, "results": results})
        suites.append(
            {
                "name": suite.name,
                "tests": suite.tests,
                "failures": suite.failures,
                "errors": suite.errors,
                "properties": {each.name: each.value for each in suite.properties()},
                "cases": cases,
            }
        )
    return suites


def histograms(file):
    from hdrh.histogram import HdrHistogram

    found = []
    with open(file, encoding="utf-8") as opened:
        report = json.load(opened)
    for row in report["rows"]:
        for backend in row["backends"]:
            histogram = HdrHistogram.decode(backend["latency"]["histogram"])
            recorded = [
                [
                    histogram.get_highest_equivalent_value(item.value_iterated_to),
                    item.count_at_value_iterated_to,
                ]
                for item in histogram.get_recorded_iterator()
            ]
            found.append(
                {
                    "pod": backend["pod"],
                    "count": histogram.get_total_count(),
                    "max_us": histogram.get_max_value(),
                    "recorded": recorded,
                }
            )
    return found


if __name__ == "__main__":
    print(json.dumps({"junit": junit, "histograms": histograms}[sys.argv[1]](*sys.argv[2:])))
