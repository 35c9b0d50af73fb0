OPERATIONS = {}
def register(): pass
