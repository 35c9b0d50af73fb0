CONSTRUCTORS = {}
def register(): pass
