/** Everything that can be asked of the shop, in one group: what a server serves and a client is made from. */
import { AdminApi } from "./AdminApi.ts"
import { CampaignApi } from "./CampaignApi.ts"
import { CartApi } from "./CartApi.ts"
import { DeliveryApi } from "./DeliveryApi.ts"
import { Entrance } from "./Entrance.ts"
import { EventApi } from "./EventApi.ts"
import { InboxApi } from "./InboxApi.ts"
import { MemberApi } from "./MemberApi.ts"
import { ProductApi } from "./ProductApi.ts"
import { RequestApi } from "./RequestApi.ts"

export const HikyakuApi = CartApi.merge(
  ProductApi,
  EventApi,
  MemberApi,
  CampaignApi,
  DeliveryApi,
  RequestApi,
  AdminApi,
  InboxApi
).middleware(Entrance)
