"""Three short reports that tests search and check claims against."""

HARBOUR = (
    "The harbour of Port Bell was closed on Monday after a storm. Two ferries were damaged. "
    "The mayor said that repairs would take three weeks and cost four million. "
    "Fishing boats were moved to the northern pier, where the water is calmer."
)
LIBRARY = (
    "The city library lent out 1.2 million books last year. Its director credits longer opening "
    "hours. A new branch in the east of the city opens in May."
)
COMET = "A comet was visible to the naked eye over the southern sky in January. It will not return."
