//! The `Store` service over any store.

use crate::store::Store;
use gpusher_proto::data::*;
use std::sync::Arc;
use tonic::{Request, Response, Status};

pub(super) struct StoreService(pub(super) Arc<dyn Store>);

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(message: T) -> Answer<T> {
    Ok(Response::new(message))
}

/// Entries of one message that follow each other have the push of the first.
fn repeat_pushes(entries: &mut [Append]) {
    for index in 1..entries.len() {
        let (before, rest) = entries.split_at_mut(index);
        if let (Some(before), Some(push)) = (&before[index - 1].push, &mut rest[0].push)
            && before.id == push.id
        {
            push.clone_from(before);
        }
    }
}

#[tonic::async_trait]
impl store_server::Store for StoreService {
    async fn create_app(&self, request: Request<App>) -> Answer<App> {
        answer(self.0.create_app(request.into_inner()).await?)
    }

    async fn list_apps(&self, _: Request<Nothing>) -> Answer<Apps> {
        answer(Apps { apps: self.0.list_apps().await? })
    }

    async fn delete_app(&self, request: Request<AppKey>) -> Answer<Found> {
        answer(Found { found: self.0.delete_app(request.into_inner().id).await? })
    }

    async fn create_user(&self, request: Request<User>) -> Answer<User> {
        answer(self.0.create_user(request.into_inner()).await?)
    }

    async fn update_user(&self, request: Request<User>) -> Answer<Found> {
        answer(Found { found: self.0.update_user(request.into_inner()).await? })
    }

    async fn get_user(&self, request: Request<UserKey>) -> Answer<FoundUser> {
        answer(FoundUser { user: self.0.get_user(&request.into_inner().uuid).await? })
    }

    async fn list_users(&self, request: Request<Page>) -> Answer<Users> {
        let Page { after, limit } = request.into_inner();
        answer(Users { users: self.0.list_users(&after, limit).await? })
    }

    async fn delete_user(&self, request: Request<UserKey>) -> Answer<Found> {
        answer(Found { found: self.0.delete_user(&request.into_inner().uuid).await? })
    }

    async fn append(&self, request: Request<AppendRequest>) -> Answer<Sequences> {
        let mut entries = request.into_inner().entries;
        repeat_pushes(&mut entries);
        answer(Sequences { seqs: self.0.append(entries).await? })
    }

    async fn reserve(&self, request: Request<ReserveRequest>) -> Answer<Sequences> {
        answer(Sequences { seqs: self.0.reserve(request.into_inner().entries).await? })
    }

    async fn read(&self, request: Request<ReadRequest>) -> Answer<ReadPage> {
        answer(self.0.read(request.into_inner()).await?)
    }

    async fn heads(&self, request: Request<ChannelKeys>) -> Answer<HeadList> {
        answer(HeadList { heads: self.0.heads(request.into_inner().channels).await? })
    }

    async fn get_cursors(&self, request: Request<DeviceKeys>) -> Answer<CursorsList> {
        answer(CursorsList { of: self.0.get_cursors(request.into_inner().devices).await? })
    }

    async fn advance_cursors(&self, request: Request<CursorUpdates>) -> Answer<Nothing> {
        self.0.advance_cursors(request.into_inner().updates).await?;
        answer(Nothing {})
    }

    async fn recall(&self, request: Request<MessageKey>) -> Answer<RecallResult> {
        answer(RecallResult { placed: self.0.recall(request.into_inner().id).await? })
    }

    async fn recalled(&self, request: Request<MessageKeys>) -> Answer<MessageKeys> {
        answer(MessageKeys { ids: self.0.recalled(request.into_inner().ids).await? })
    }

    async fn add_status(&self, request: Request<StatusUpdates>) -> Answer<Nothing> {
        self.0.add_status(request.into_inner().deltas).await?;
        answer(Nothing {})
    }

    async fn get_status(&self, request: Request<MessageKey>) -> Answer<FoundStatus> {
        answer(FoundStatus { status: self.0.get_status(request.into_inner().id).await? })
    }

    async fn get_user_status(&self, request: Request<UserMessageKey>) -> Answer<UserStatus> {
        let UserMessageKey { id, user } = request.into_inner();
        answer(self.0.get_user_status(id, &user).await?)
    }

    async fn add_dead_letters(&self, request: Request<DeadLetters>) -> Answer<Nothing> {
        self.0.add_dead_letters(request.into_inner().letters).await?;
        answer(Nothing {})
    }

    async fn list_dead_letters(&self, request: Request<AppPage>) -> Answer<DeadLetters> {
        answer(DeadLetters { letters: self.0.list_dead_letters(request.into_inner()).await? })
    }

    async fn delete_dead_letters(&self, request: Request<AppUpTo>) -> Answer<Found> {
        let AppUpTo { app_id, up_to } = request.into_inner();
        answer(Found { found: self.0.delete_dead_letters(app_id, up_to).await? })
    }

    async fn add_upstream(&self, request: Request<UpstreamMessages>) -> Answer<Nothing> {
        self.0.add_upstream(request.into_inner().messages).await?;
        answer(Nothing {})
    }

    async fn list_upstream(&self, request: Request<AppPage>) -> Answer<UpstreamMessages> {
        answer(UpstreamMessages { messages: self.0.list_upstream(request.into_inner()).await? })
    }

    async fn delete_upstream(&self, request: Request<AppUpTo>) -> Answer<Found> {
        let AppUpTo { app_id, up_to } = request.into_inner();
        answer(Found { found: self.0.delete_upstream(app_id, up_to).await? })
    }

    async fn epoch(&self, _: Request<Nothing>) -> Answer<EpochValue> {
        answer(EpochValue { epoch: self.0.epoch().await? })
    }

    async fn purge(&self, request: Request<PurgeRequest>) -> Answer<PurgeResult> {
        answer(self.0.purge(request.into_inner()).await?)
    }
}
