import json
def markdown(results):
    return json.dumps(results, indent=1)
