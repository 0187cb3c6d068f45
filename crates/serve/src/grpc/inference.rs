//! The Open Inference Protocol over gRPC.

use tonic::{Request, Response, Status};

use super::stubs::inference::grpc_inference_service_server::GrpcInferenceService;
use super::stubs::inference::model_infer_request::InferInputTensor;
use super::stubs::inference::model_infer_response::InferOutputTensor;
use super::stubs::inference::model_metadata_response::TensorMetadata;
use super::stubs::inference::{
    InferTensorContents, ModelInferRequest, ModelInferResponse, ModelMetadataRequest,
    ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse, ServerLiveRequest,
    ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest,
    ServerReadyResponse,
};
use super::{Grpc, status};
use crate::error::Refusal;
use crate::inference::{CODES, Input, PLATFORM, Tensor, describe, infer};

#[tonic::async_trait]
impl GrpcInferenceService for Grpc {
    async fn server_live(
        &self,
        _request: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _request: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse { ready: self.0.is_ready() }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ModelReadyRequest { name, version } = request.into_inner();
        describe(&self.0.service, &name, &version).map_err(status)?;
        Ok(Response::new(ModelReadyResponse { ready: self.0.is_ready() }))
    }

    async fn server_metadata(
        &self,
        _request: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(ServerMetadataResponse {
            name: PLATFORM.to_string(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            extensions: Vec::new(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        let model = describe(&self.0.service, &name, &version).map_err(status)?;
        let text = model.text.map(tensor);
        Ok(Response::new(ModelMetadataResponse {
            name,
            versions: model.versions,
            platform: PLATFORM.to_string(),
            inputs: std::iter::once(tensor(model.content)).chain(text).collect(),
            outputs: vec![tensor(model.codes)],
        }))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let call = self.call(&metadata).map_err(status)?;
        let inputs = inputs(message.inputs, message.raw_input_contents);
        let inputs = self.0.counted(inputs).map_err(status)?;
        let model = (message.model_name.as_str(), message.model_version.as_str());
        let outputs = message.outputs.into_iter().map(|output| output.name);
        let inferred =
            infer(&self.0.service, call, model, inputs, outputs).await.map_err(status)?;
        let contents =
            InferTensorContents { uint_contents: inferred.codes, ..InferTensorContents::default() };
        let codes = InferOutputTensor {
            name: CODES.to_string(),
            datatype: "UINT32".to_string(),
            shape: inferred.shape.map(|extent| extent as i64).to_vec(),
            contents: Some(contents),
            ..InferOutputTensor::default()
        };
        Ok(Response::new(ModelInferResponse {
            model_name: message.model_name,
            model_version: inferred.version,
            id: message.id,
            outputs: vec![codes],
            ..ModelInferResponse::default()
        }))
    }
}

fn tensor<const N: usize>(tensor: Tensor<N>) -> TensorMetadata {
    TensorMetadata {
        name: tensor.name.to_string(),
        datatype: tensor.datatype.to_string(),
        shape: tensor.shape.to_vec(),
    }
}

/// Tensors whose values stand in them, or one after another in `raw`.
fn inputs(tensors: Vec<InferInputTensor>, raw: Vec<Vec<u8>>) -> Result<Vec<Input>, Refusal> {
    if !raw.is_empty() && raw.len() != tensors.len() {
        let (raw, tensors) = (raw.len(), tensors.len());
        let message = format!("`raw_input_contents`: {raw} for {tensors} tensors");
        return Err(Refusal::invalid(message));
    }
    let mut raw = raw.into_iter();
    let input = |tensor: InferInputTensor| {
        let InferInputTensor { name, datatype, shape, contents, .. } = tensor;
        let extents = shape.iter().map(|&extent| usize::try_from(extent));
        let shape = extents.collect::<Result<_, _>>().map_err(|_| {
            Refusal::invalid(format!("`inputs` {name:?}: expected extents of at least 0"))
        })?;
        let contents = contents.unwrap_or_default();
        let (numbers, texts) = match raw.next() {
            None => (contents.fp32_contents, texts(contents.bytes_contents)?),
            Some(raw) if datatype == "BYTES" => (Vec::new(), texts(lengths(&raw)?)?),
            Some(raw) => (floats(&raw)?, Vec::new()),
        };
        Ok(Input { name, datatype, shape, numbers, texts })
    };
    tensors.into_iter().map(input).collect()
}

fn floats(raw: &[u8]) -> Result<Vec<f32>, Refusal> {
    match raw.as_chunks::<4>() {
        (values, []) => Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect()),
        _ => Err(Refusal::invalid("`raw_input_contents`: expected values of four bytes")),
    }
}

/// Values each of which stands after its length in four bytes.
fn lengths(mut raw: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
    let torn = || Refusal::invalid("`raw_input_contents`: a text longer than what is left");
    let mut values = Vec::new();
    while !raw.is_empty() {
        let (length, rest) = raw.split_first_chunk::<4>().ok_or_else(torn)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (value, rest) = rest.split_at_checked(length).ok_or_else(torn)?;
        values.push(value.to_vec());
        raw = rest;
    }
    Ok(values)
}

fn texts(values: Vec<Vec<u8>>) -> Result<Vec<String>, Refusal> {
    let text = |(row, value)| {
        String::from_utf8(value)
            .map_err(|_| Refusal::invalid(format!("`inputs`: text {row} is not UTF-8")))
    };
    values.into_iter().enumerate().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_values_are_read_and_torn_ones_refused() {
        assert_eq!(floats(&[0, 0, 128, 63]), Ok(vec![1.0]));
        assert!(floats(&[0; 5]).is_err());
        assert_eq!(lengths(b"\x02\0\0\0ab\0\0\0\0"), Ok(vec![b"ab".to_vec(), vec![]]));
        for torn in [&b"\x03\0\0\0ab"[..], b"\x02\0\0", b"\xff\xff\xff\xff"] {
            assert!(lengths(torn).is_err());
        }
        assert!(texts(vec![vec![0xff]]).is_err());
    }
}
