/** Where the countries of the Online Retail data set keep their clocks: one zone each, the capital's. */

const zones: ReadonlyMap<string, string> = new Map([
  ["Australia", "Australia/Sydney"],
  ["Austria", "Europe/Vienna"],
  ["Bahrain", "Asia/Bahrain"],
  ["Belgium", "Europe/Brussels"],
  ["Brazil", "America/Sao_Paulo"],
  ["Canada", "America/Toronto"],
  ["Channel Islands", "Europe/Jersey"],
  ["Cyprus", "Asia/Nicosia"],
  ["Czech Republic", "Europe/Prague"],
  ["Denmark", "Europe/Copenhagen"],
  ["EIRE", "Europe/Dublin"],
  ["Finland", "Europe/Helsinki"],
  ["France", "Europe/Paris"],
  ["Germany", "Europe/Berlin"],
  ["Greece", "Europe/Athens"],
  ["Hong Kong", "Asia/Hong_Kong"],
  ["Iceland", "Atlantic/Reykjavik"],
  ["Israel", "Asia/Jerusalem"],
  ["Italy", "Europe/Rome"],
  ["Japan", "Asia/Tokyo"],
  ["Lebanon", "Asia/Beirut"],
  ["Lithuania", "Europe/Vilnius"],
  ["Malta", "Europe/Malta"],
  ["Netherlands", "Europe/Amsterdam"],
  ["Norway", "Europe/Oslo"],
  ["Poland", "Europe/Warsaw"],
  ["Portugal", "Europe/Lisbon"],
  ["RSA", "Africa/Johannesburg"],
  ["Saudi Arabia", "Asia/Riyadh"],
  ["Singapore", "Asia/Singapore"],
  ["Spain", "Europe/Madrid"],
  ["Sweden", "Europe/Stockholm"],
  ["Switzerland", "Europe/Zurich"],
  ["USA", "America/New_York"],
  ["United Arab Emirates", "Asia/Dubai"],
  ["United Kingdom", "Europe/London"]
])

/** The IANA zone of a country as the data set spells it; the shop's own where it names none ("Unspecified"). */
export const timeZoneOf = (country: string): string => zones.get(country) ?? "Europe/London"
